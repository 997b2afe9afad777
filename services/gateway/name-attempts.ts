import { randomUUID } from 'node:crypto';
import type { RedisConnection, RedisScript } from '#libs/redis/connection.ts';

/** Milliseconds between two questions what time it is. */
const askEvery = 1000;

const timeScript: RedisScript = {
  name: 'portcullis_time',
  lua: `local t = redis.call('TIME') return t[1] * 1000 + math.floor(t[2] / 1000)`,
};

/** Names of attempts to have requests carried out. */
export interface AttemptNames {
  next(): string;
  close(): void;
}

/**
 * Names attempts by which time of Redis they were made, behind a dot. A Redis that loses its memory forgets which of them
 * were given up; by their names it knows those that were made before (`services/core/sessions/redis/lock-scripts.ts`).
 * Without Redis, or before it said what time it is, they are named without.
 */
export function nameAttempts(redis: RedisConnection | undefined): AttemptNames {
  /** What our own clock lacks; a little less than that, so that no attempt seems later than it is. */
  let offset: number | undefined;

  async function ask(): Promise<void> {
    if (redis?.up !== true) return;
    try {
      const time = Number(await redis.run(timeScript, ['portcullis:time'], []));
      offset = time - performance.now();
    } catch {
      // What it said before is right enough.
    }
  }

  void ask();
  const timer = redis === undefined ? undefined : setInterval(() => void ask(), askEvery).unref();
  return {
    next() {
      const id = randomUUID();
      return offset === undefined ? id : `${id}.${Math.floor(performance.now() + offset)}`;
    },
    close: () => clearInterval(timer),
  };
}
