import { randomUUID } from 'node:crypto';
import type { RedisConnection } from '#libs/redis/connection.ts';
import { type Held, LockBusyError, LockLostError, type Locks } from '../locks.ts';
import { acquireLockScript, releaseLockScript, renewLockScript } from './lock-scripts.ts';
import { type Wake, wakeChannel } from './wake.ts';

export interface RedisLockOptions {
  redis: RedisConnection;
  wake: Wake;
  /** Milliseconds a holder that is not heard of keeps a lock. */
  lease?: number;
  /** Milliseconds a request waits for a lock. */
  maxWait?: number;
  /** Milliseconds now, for tests of what time does; the clocks of Redis and of this process without it. */
  clock?: () => number;
}

/** Milliseconds without asking after which one who waits loses its place. */
const patience = 2000;

interface Lease {
  key: string;
  token: string;
  /** On our own clock, counted from before we asked, so that it never ends later than Redis'. */
  endsAt: number;
  lost: boolean;
}

/** Locks in Redis, for any number of cores. Throws RedisAwayError while Redis is away. */
export function createRedisLocks({
  redis,
  wake,
  lease = 15_000,
  maxWait = 30_000,
  clock,
}: RedisLockOptions): Locks {
  const redisTime = () => (clock === undefined ? '' : clock());
  const ownTime = clock ?? (() => performance.now());
  const keyOf = (key: string) => `portcullis:lock:{${key}}`;
  const freed = (key: string) => `unlocked ${key}`;
  const leases = new Set<Lease>();

  async function ask(key: string, token: string, mode: 'x' | 's', wait: number) {
    const askedAt = ownTime();
    const args = [redisTime(), token, mode, lease, wait];
    const answer = await redis.run(acquireLockScript, [keyOf(key)], args);
    return answer === 1 ? hold({ key, token, endsAt: askedAt + lease, lost: false }) : undefined;
  }

  function hold(mine: Lease): Held {
    leases.add(mine);
    return {
      assertHeld() {
        if (!mine.lost && ownTime() < mine.endsAt) return;
        throw new LockLostError('this process was held up for too long');
      },
      [Symbol.dispose]() {
        if (leases.delete(mine)) release(mine.key, mine.token);
      },
    };
  }

  /** Nobody waits for the answer: if it is lost, the lease ends by itself. */
  function release(key: string, token: string): void {
    const args = [redisTime(), token, wakeChannel, freed(key)];
    redis.run(releaseLockScript, [keyOf(key)], args).catch(() => {});
  }

  async function acquire(key: string, mode: 'x' | 's'): Promise<Held> {
    const token = randomUUID();
    const giveUpAt = performance.now() + maxWait;
    try {
      for (;;) {
        const held = await ask(key, token, mode, patience);
        if (held !== undefined) return held;
        if (performance.now() >= giveUpAt) throw new LockBusyError('others are at work here');
        await wake.next(freed(key));
      }
    } catch (error) {
      release(key, token);
      throw error;
    }
  }

  async function renew(mine: Lease): Promise<void> {
    const askedAt = ownTime();
    const args = [redisTime(), mine.token, lease];
    const answer = await redis.run(renewLockScript, [keyOf(mine.key)], args);
    if (answer === 1) mine.endsAt = askedAt + lease;
    else mine.lost = true;
  }

  // Most locks are gone long before; only what is held for long is ever renewed.
  const timer = setInterval(() => {
    for (const mine of leases) {
      if (mine.endsAt - ownTime() < (lease * 2) / 3) void renew(mine).catch(() => {});
    }
  }, lease / 6).unref();

  return {
    shared: (key) => acquire(key, 's'),
    exclusive: (key) => acquire(key, 'x'),
    tryExclusive: (key) => ask(key, randomUUID(), 'x', 0),
    async close() {
      clearInterval(timer);
      for (const mine of leases) release(mine.key, mine.token);
      leases.clear();
    },
  };
}
