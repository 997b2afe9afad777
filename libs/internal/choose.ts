import { createHash } from 'node:crypto';
import type { Instance } from './instance.ts';

/**
 * The instances in the order in which they are to be tried: those that are ready first, and among them
 * by preference for a key, if there is one, else the least busy.
 * @param key what should stay with one instance, such as an upload's id
 */
export function inOrder(instances: readonly Instance[], key?: string): Instance[] {
  const ranked = key === undefined ? leastBusy(instances) : byPreference(instances, key);
  return [...ranked.filter(({ ready }) => ready), ...ranked.filter(({ ready }) => !ready)];
}

/**
 * Rendezvous hashing: everybody who knows the same names makes the same order, and when one goes, only
 * what was its own moves, each to the next in its order.
 */
function byPreference(instances: readonly Instance[], key: string): Instance[] {
  const weight = ({ name }: Instance) => createHash('sha1').update(`${key}\0${name}`).digest();
  return instances
    .map((instance) => ({ instance, weight: weight(instance) }))
    .sort((a, b) => Buffer.compare(b.weight, a.weight))
    .map(({ instance }) => instance);
}

let turn = 0;

/** Those that are equally busy take turns. */
function leastBusy(instances: readonly Instance[]): Instance[] {
  turn = (turn + 1) % 1_000_000;
  const first = instances.length === 0 ? 0 : turn % instances.length;
  const rotated = [...instances.slice(first), ...instances.slice(0, first)];
  return rotated.sort((a, b) => a.inFlight - b.inFlight);
}
