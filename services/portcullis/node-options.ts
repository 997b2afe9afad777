import type { ServiceName } from '#libs/values/service-name.ts';

/**
 * http-proxy uses what Node calls deprecated; SIGUSR1 would open a debugger to every user of the machine.
 *
 * The young generation is 1 MiB: each piece of a body is a buffer outside of the heap that is of no use a moment later, and
 * is freed with the few bytes in the heap that stand for it. Left for longer, each new one is memory that no cache of the
 * processor has, and an upload costs twice as much (docs/adr/0019).
 */
const always = ['--disable-warning=DEP0060', '--disable-sigusr1', '--max-semi-space-size=1'];

/** The gateway says itself when buffers are to be freed (`batch-writer.ts`). */
const more: Readonly<Record<ServiceName, readonly string[]>> = {
  gateway: ['--expose-gc'],
  core: [],
  auth: [],
};

/** Options of Node for a process of ours. */
export function nodeOptionsFor(service: ServiceName): string[] {
  return [...always, ...more[service]];
}
