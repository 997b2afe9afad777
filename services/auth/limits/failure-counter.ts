import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { RedisConnection, RedisScript } from '#libs/redis/connection.ts';
import { RedisAwayError } from '#libs/redis/redis-away.ts';

/** Counts events by key in a window of time that slides. */
export interface FailureCounter {
  /** @returns how many there were lately, about */
  count(key: string): Promise<number>;
  /** Adds one. */
  add(key: string): Promise<void>;
}

/** Keys that are remembered; beyond, those not seen for longest are forgotten. */
const maxKeys = 100_000;

interface Counts {
  period: number;
  current: number;
  previous: number;
}

/**
 * Counts of this period and of the one before, of which the part counts that the window still covers.
 * @param window milliseconds
 */
export function createMemoryCounter(window: number, now: () => number = Date.now): FailureCounter {
  const known = new LRUCache<string, Counts>({ max: maxKeys, ttl: 2 * window });

  function countsOf(key: string): Counts {
    const period = Math.floor(now() / window);
    const found = known.get(key);
    if (found?.period === period) return found;
    return { period, current: 0, previous: found?.period === period - 1 ? found.current : 0 };
  }

  return {
    count: async (key) => estimate(countsOf(key), now(), window),
    async add(key) {
      const counts = countsOf(key);
      known.set(key, { ...counts, current: counts.current + 1 });
    },
  };
}

/** KEYS: this period's count and the one before. */
const countScript: RedisScript = {
  name: 'portcullis_failures_count',
  lua: `return { tonumber(redis.call('GET', KEYS[1]) or '0'), tonumber(redis.call('GET', KEYS[2]) or '0') }`,
};

/** KEYS: this period's count. ARGV: milliseconds to keep it. */
const addScript: RedisScript = {
  name: 'portcullis_failures_add',
  lua: `
redis.call('INCR', KEYS[1])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
`,
};

/** The same for all token services together; while Redis is away each counts alone. */
export function createRedisCounter(
  redis: RedisConnection,
  window: number,
  now: () => number = Date.now,
): FailureCounter {
  const alone = createMemoryCounter(window, now);

  async function together<T>(ask: () => Promise<T>, instead: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof RedisAwayError)) throw error;
      return await instead();
    }
  }
  /** A name of bounded length, whatever stands in it; in braces, so that all its periods are in one slot. */
  const at = (key: string, period: number) =>
    `portcullis:failures:{${createHash('sha256').update(key).digest('base64url')}}:${period}`;

  return {
    async count(key) {
      const time = now();
      const period = Math.floor(time / window);
      const ask = async () => {
        const keys = [at(key, period), at(key, period - 1)];
        const [current = 0, previous = 0] = (await redis.run(countScript, keys, [])) as number[];
        return estimate({ current, previous }, time, window);
      };
      return await together(ask, () => alone.count(key));
    },
    async add(key) {
      const keys = [at(key, Math.floor(now() / window))];
      const ask = async () => void (await redis.run(addScript, keys, [2 * window]));
      await together(ask, () => alone.add(key));
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
