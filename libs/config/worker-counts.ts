import { availableParallelism } from 'node:os';
import type { Configuration } from './schema/configuration.ts';

/** How many processes of a service share its work. */
export interface WorkerCounts {
  gateway: number;
  core: number;
}

/**
 * Resolves `workers` of the services: `auto` is one for each CPU, where there can be more than one.
 * @param listen where gateways listen
 * @throws Error with one clear sentence for several where there can be only one
 */
export function workerCounts(
  { portcullis, redis }: Configuration,
  listen: { socket: string } | { port: number },
): WorkerCounts {
  const sharesPort = 'port' in listen && listen.port !== 0 && process.platform !== 'darwin';
  return {
    gateway: resolve(portcullis.gateway.workers, sharesPort, 'gateway', [
      'several gateways share a TCP port that is written out;',
      'set http.addr to one, or leave this at 1',
    ]),
    core: resolve(portcullis.core.workers, redis !== undefined, 'core', [
      'several cores agree through Redis;',
      'add a redis section, or leave this at 1',
    ]),
  };
}

function resolve(
  wanted: number | 'auto',
  canBeMany: boolean,
  service: keyof WorkerCounts,
  why: readonly string[],
): number {
  if (wanted === 'auto') return canBeMany ? availableParallelism() : 1;
  if (wanted > 1 && !canBeMany) {
    throw new Error(`portcullis.${service}.workers: ${why.join(' ')}`);
  }
  return wanted;
}
