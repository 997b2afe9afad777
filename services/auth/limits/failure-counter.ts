import { LRUCache } from 'lru-cache';
import type { RedisConnection, RedisScript } from '#libs/redis/connection.ts';
import { RedisAwayError } from '#libs/redis/redis-away.ts';

/** Counts events by key in a window of time that slides. */
export interface FailureCounter {
  /** Adds one event, or takes one back. @returns how many there are now, about */
  add(key: string, amount: 1 | -1): Promise<number>;
}

/** Keys that are remembered; beyond, those not seen for longest are forgotten. */
const maxKeys = 100_000;

/**
 * Counts of this period and of the one before, of which the part counts that the window still covers.
 * @param window milliseconds
 */
export function createMemoryCounter(window: number, now: () => number = Date.now): FailureCounter {
  const counts = new LRUCache<string, { period: number; current: number; previous: number }>({
    max: maxKeys,
    ttl: 2 * window,
  });
  return {
    async add(key, amount) {
      const time = now();
      const period = Math.floor(time / window);
      const known = counts.get(key);
      const fresh = { period, current: 0, previous: 0 };
      if (known?.period === period) Object.assign(fresh, known);
      else if (known?.period === period - 1) fresh.previous = known.current;
      fresh.current = Math.max(0, fresh.current + amount);
      counts.set(key, fresh);
      return estimate(fresh, time, window);
    },
  };
}

/** KEYS: this period's count and the one before. ARGV: what to add, milliseconds to keep. */
const addScript: RedisScript = {
  name: 'portcullis_failures_add',
  lua: `
local current = redis.call('INCRBY', KEYS[1], ARGV[1])
if current < 0 then
  redis.call('SET', KEYS[1], 0)
  current = 0
end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return { current, tonumber(redis.call('GET', KEYS[2]) or '0') }
`,
};

/** The same for all token services together; while Redis is away each counts alone. */
export function createRedisCounter(
  redis: RedisConnection,
  window: number,
  now: () => number = Date.now,
): FailureCounter {
  const alone = createMemoryCounter(window, now);
  return {
    async add(key, amount) {
      const time = now();
      const period = Math.floor(time / window);
      // In braces, so that both are in one slot of a Cluster.
      const at = (one: number) => `portcullis:failures:{${key}}:${one}`;
      try {
        const answer = await redis.run(
          addScript,
          [at(period), at(period - 1)],
          [amount, 2 * window],
        );
        const [current = 0, previous = 0] = answer as number[];
        return estimate({ current, previous }, time, window);
      } catch (error) {
        if (!(error instanceof RedisAwayError)) throw error;
        return await alone.add(key, amount);
      }
    },
  };
}

function estimate(
  { current, previous }: { current: number; previous: number },
  time: number,
  window: number,
): number {
  const passed = (time % window) / window;
  return current + previous * (1 - passed);
}
