import { availableParallelism } from 'node:os';
import { z } from 'zod';

/** Processes of one service; `auto` is one for each CPU. */
export const workersSchema = z
  .union([z.string(), z.number()])
  .transform((value, ctx) => {
    const number = Number(value);
    if (value === 'auto') return value;
    if (Number.isInteger(number) && number >= 1 && number <= 1024) return number;
    ctx.addIssue({ code: 'custom', message: 'must be a whole number from 1 to 1024, or auto' });
    return z.NEVER;
  })
  .default(1);

type Wanted = z.infer<typeof workersSchema>;

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
  wanted: Readonly<Record<keyof WorkerCounts, Wanted>>,
  { listen, hasRedis }: { listen: { socket: string } | { port: number }; hasRedis: boolean },
): WorkerCounts {
  const sharesPort = 'port' in listen && listen.port !== 0 && process.platform !== 'darwin';
  return {
    gateway: resolve(wanted.gateway, sharesPort, 'gateway', [
      'several gateways share a TCP port that is written out;',
      'set http.addr to one, or leave this at 1',
    ]),
    core: resolve(wanted.core, hasRedis, 'core', [
      'several cores agree through Redis;',
      'add a redis section, or leave this at 1',
    ]),
  };
}

function resolve(
  wanted: Wanted,
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
