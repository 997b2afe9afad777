import type { RedisConnection } from '#libs/redis/connection.ts';
import { createEmbeddedSessionStore } from './embedded.ts';
import { createEmbeddedLocks } from './embedded-locks.ts';
import type { Locks } from './locks.ts';
import { createRedisLocks } from './redis/redis-locks.ts';
import { createRedisSessionStore } from './redis/redis-sessions.ts';
import { createWake } from './redis/wake.ts';
import type { SessionStore } from './session-store.ts';

/** What makes requests wait for each other, and remembers uploads. */
export interface Coordination {
  sessions: SessionStore;
  locks: Locks;
}

/** Several cores agree in Redis; without it, one core coordinates by itself. */
export function createCoordination(redis: RedisConnection | undefined): Coordination {
  if (redis === undefined) {
    return { sessions: createEmbeddedSessionStore(), locks: createEmbeddedLocks() };
  }
  const wake = createWake(redis);
  return {
    sessions: createRedisSessionStore({ redis, wake }),
    locks: createRedisLocks({ redis, wake }),
  };
}
