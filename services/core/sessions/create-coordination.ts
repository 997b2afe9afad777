import type { Logger } from '#libs/log/logger.ts';
import type { RedisConnection } from '#libs/redis/connection.ts';
import { createEmbeddedSessionStore } from './embedded.ts';
import { createEmbeddedLocks } from './embedded-locks.ts';
import type { Locks } from './locks.ts';
import { createRedisLocks } from './redis/redis-locks.ts';
import { createRedisSessionStore } from './redis/redis-sessions.ts';
import { createWake } from './redis/wake.ts';
import { watchEviction } from './redis/watch-eviction.ts';
import type { SessionStore } from './session-store.ts';

/** What makes requests wait for each other, and remembers uploads. */
export interface Coordination {
  sessions: SessionStore;
  locks: Locks;
  /** Why writes cannot be coordinated although Redis answers; undefined while they can. */
  unreliable(): string | undefined;
  close(): Promise<void>;
}

/** Several cores agree in Redis; without it, one core coordinates by itself. */
export function createCoordination(redis: RedisConnection | undefined, log: Logger): Coordination {
  if (redis === undefined) {
    const [sessions, locks] = [createEmbeddedSessionStore(), createEmbeddedLocks()];
    const close = async () => {
      await locks.close();
      await sessions.close();
    };
    return { sessions, locks, unreliable: () => undefined, close };
  }
  const wake = createWake(redis);
  const eviction = watchEviction(redis, log);
  const sessions = createRedisSessionStore({ redis, wake });
  const locks = createRedisLocks({ redis, wake, unreliable: eviction.reason });
  return {
    sessions,
    locks,
    unreliable: eviction.reason,
    async close() {
      eviction.close();
      await locks.close();
      await sessions.close();
    },
  };
}
