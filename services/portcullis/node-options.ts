import type { ServiceName } from '#libs/values/service-name.ts';

/** http-proxy uses what Node calls deprecated; SIGUSR1 would open a debugger to every user of the machine. */
const always = ['--disable-warning=DEP0060', '--disable-sigusr1', '--expose-gc'];

/**
 * Through gateway and core go bodies, of which they say themselves when they are freed (`libs/bodies/free-piece.ts`). In the
 * token service little lives for long.
 */
const more: Readonly<Record<ServiceName, readonly string[]>> = {
  gateway: [],
  core: [],
  auth: ['--max-semi-space-size=4'],
};

/** Options of Node for a process of ours. */
export function nodeOptionsFor(service: ServiceName): string[] {
  return [...always, ...more[service]];
}
