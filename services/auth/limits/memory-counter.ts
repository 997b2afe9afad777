import { LRUCache } from 'lru-cache';
import { atMost } from '#libs/limits/cache-size.ts';
import { type AttemptCounter, type Counts, estimate, timeUntilRoom } from './attempt-counter.ts';

/** Keys that are remembered; beyond, those not seen for longest are forgotten. */
const maxKeys = 100_000;

/**
 * Counts for this process alone.
 * @param window milliseconds
 * @param now milliseconds since the epoch
 */
export function createMemoryCounter(window: number, now: () => number = Date.now): AttemptCounter {
  const known = new LRUCache<string, Counts>(atMost(maxKeys));

  function countsOf(key: string, period: number): Counts {
    const found = known.get(key);
    if (found?.period === period) return found;
    const previous = found?.period === period - 1 ? found.current : 0;
    return { period, current: 0, previous, reserved: found?.reserved ?? 0 };
  }

  return {
    async reserve(group, budgets) {
      const time = now();
      const period = Math.floor(time / window);
      const passed = (time % window) / window;
      const taken: [name: string, counts: Counts][] = [];
      const before: number[] = [];
      for (const { key, most } of budgets) {
        const name = `${group}\0${key}`;
        const counts = countsOf(name, period);
        const count = estimate(counts, passed);
        if (most > 0 && count >= most) {
          const busy = count - counts.reserved < most;
          return { ok: false, key, busy, retryAfter: timeUntilRoom(time, window) };
        }
        before.push(count);
        const { current, reserved } = counts;
        taken.push([name, { ...counts, current: current + 1, reserved: reserved + 1 }]);
      }
      for (const [name, counts] of taken) known.set(name, counts);

      const settle = async (failed: boolean) => {
        for (const [name] of taken) {
          const counts = known.get(name);
          if (counts === undefined) continue;
          counts.reserved = Math.max(0, counts.reserved - 1);
          if (failed) continue;
          if (counts.period === period) counts.current = Math.max(0, counts.current - 1);
          if (counts.period === period + 1) counts.previous = Math.max(0, counts.previous - 1);
        }
      };
      return { ok: true, before, keep: () => settle(true), giveBack: () => settle(false) };
    },
  };
}
