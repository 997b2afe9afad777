import type { ServiceName } from '#libs/values/service-name.ts';

/** http-proxy uses what Node calls deprecated; SIGUSR1 would open a debugger to every user of the machine. */
const always = ['--disable-warning=DEP0060', '--disable-sigusr1'];

/**
 * Each piece of a body is a buffer outside of the heap that is of no use a moment later, and is freed with the few bytes in
 * the heap that stand for it. Left for longer, each new one is memory that no cache of the processor has, and an upload
 * costs twice as much (docs/adr/0019). So the core, which does enough for each piece, has a young generation of 1 MiB, and
 * the gateway says when buffers are to be freed (`batch-writer.ts`).
 */
const more: Readonly<Record<ServiceName, readonly string[]>> = {
  gateway: ['--expose-gc', '--max-semi-space-size=4'],
  core: ['--max-semi-space-size=1'],
  auth: ['--max-semi-space-size=1'],
};

/** Options of Node for a process of ours. */
export function nodeOptionsFor(service: ServiceName): string[] {
  return [...always, ...more[service]];
}
