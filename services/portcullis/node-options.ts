import type { ServiceName } from '#libs/values/service-name.ts';

/** http-proxy uses what Node calls deprecated; SIGUSR1 would open a debugger to every user of the machine. */
const always = ['--disable-warning=DEP0060', '--disable-sigusr1'];

/**
 * Those that bodies go through have a young generation of 1 MiB. Each piece of a body is a buffer that is of no use a moment
 * later; where it is freed only after many MiB of others, each new one is memory that no cache of the processor has, and an
 * upload costs twice as much (`make bench`).
 */
const young: Readonly<Record<ServiceName, readonly string[]>> = {
  // It says itself when (`batch-writer.ts`).
  gateway: ['--max-semi-space-size=1', '--expose-gc'],
  core: ['--max-semi-space-size=1'],
  auth: [],
};

/** Options of Node for a process of ours. */
export function nodeOptionsFor(service: ServiceName): string[] {
  return [...always, ...young[service]];
}
