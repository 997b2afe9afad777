import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisConnection } from '#libs/redis/connection.ts';
import { givenUpKey } from '#libs/redis/give-up.ts';
import { RedisAwayError } from '#libs/redis/redis-away.ts';
import { askFreshly } from '../ask-freshly.ts';
import {
  confirmWanted,
  type Held,
  LockBusyError,
  LockLostError,
  type Locks,
  type Requester,
  RequestGoneError,
  unattended,
} from '../locks.ts';
import { beginEpochs, epochKeyFor } from './epoch.ts';
import { acquireLockScript, confirmLockScript, releaseLockScript } from './lock-scripts.ts';
import { type Wake, wakeChannel } from './wake.ts';

export interface RedisLockOptions {
  redis: RedisConnection;
  wake: Wake;
  /** Why Redis may lose locks; undefined while it keeps them. */
  unreliable?: () => string | undefined;
  /** Milliseconds a holder that is not heard of keeps a lock; the same in all cores. */
  lease?: number;
  /** Milliseconds a request waits for a lock. */
  maxWait?: number;
  /** Milliseconds now, for tests of what time does; the clocks of Redis and of this process without it. */
  clock?: () => number;
}

/** Milliseconds a holder that is not heard of keeps a lock. */
export const lockLease = 10_000;

/** Milliseconds without asking after which one who waits loses its place. */
const placeKept = 2000;

/** Milliseconds after which epochs are begun that Redis did not answer about. */
const beginAgainAfter = 500;

interface Lease {
  key: string;
  token: string;
  epoch: string;
  requester: Requester;
  /** On our own clock, from before we asked: when it must have been renewed. */
  endsAt: number;
}

/** Locks in Redis, for any number of cores. Throws RedisAwayError while Redis is away. */
export function createRedisLocks({
  redis,
  wake,
  unreliable = () => undefined,
  lease = lockLease,
  maxWait = 30_000,
  clock,
}: RedisLockOptions): Locks {
  const redisTime = () => (clock === undefined ? '' : clock());
  const ownTime = clock ?? (() => performance.now());
  const freed = (key: string) => `unlocked ${key}`;
  const leases = new Set<Lease>();

  /** The lock, its epoch, and what says that the request was given up: all of one slot. */
  function keysOf(key: string, { id }: Requester): string[] {
    const lock = `portcullis:lock:{${key}}`;
    return [lock, epochKeyFor(lock, redis.isCluster), givenUpKey(key, id)];
  }

  let beginning = false;
  let isToBeginAgain = false;
  let closed = false;

  /** Has the new epoch begin everywhere, where Redis may have forgotten locks of ours. */
  async function beginAll(): Promise<void> {
    isToBeginAgain = true;
    if (beginning) return;
    beginning = true;
    // What was begun already in this round may have been forgotten meanwhile: another round shows.
    while (isToBeginAgain && !closed) {
      isToBeginAgain = false;
      try {
        await beginEpochs(redis, redisTime);
      } catch {
        // Redis is away: it is asked again, lest each lock waits a lease from when it is first wanted.
        isToBeginAgain = true;
        await sleep(beginAgainAfter, undefined, { ref: false });
      }
    }
    beginning = false;
  }
  void beginAll();

  async function ask(
    { key, token, requester }: Pick<Lease, 'key' | 'token' | 'requester'>,
    mode: 'x' | 's',
    placeFor: number,
  ): Promise<{ held: Held | undefined; epoch: string }> {
    const why = unreliable();
    if (why !== undefined) throw new RedisAwayError(new Error(why));
    const askedAt = ownTime();
    const args = [redisTime(), token, mode, lease, placeFor, randomUUID()];
    const keys = keysOf(key, requester);
    const answer = await redis.run(acquireLockScript, keys, args);
    const [outcome, epoch, began] = answer as [number, string, number];
    if (began === 1) void beginAll();
    if (outcome === -2) throw new RequestGoneError();
    if (outcome !== 1) return { held: undefined, epoch };
    return { held: hold({ key, token, epoch, requester, endsAt: askedAt + lease }), epoch };
  }

  function hold(mine: Lease): Held {
    leases.add(mine);
    const assertHeld = async () => {
      await confirmWanted(mine.requester);
      await renew(mine);
      // Its connection may have ended while the answer lay unread.
      await confirmWanted(mine.requester);
    };
    return {
      assertHeld,
      confirm: () => askFreshly(assertHeld, { longest: lease / 2, now: ownTime }),
      [Symbol.dispose]() {
        if (leases.delete(mine)) release(mine.key, mine.token);
      },
    };
  }

  /** Nobody waits for the answer: if it is lost, the lease ends by itself. */
  function release(key: string, token: string): void {
    const args = [redisTime(), token, wakeChannel, freed(key)];
    redis.run(releaseLockScript, keysOf(key, unattended), args).catch(() => {});
  }

  async function acquire(key: string, mode: 'x' | 's', requester: Requester): Promise<Held> {
    const token = randomUUID();
    const giveUpAt = performance.now() + maxWait;
    let askedIn: string | undefined;
    try {
      for (;;) {
        const { held, epoch } = await ask({ key, token, requester }, mode, placeKept);
        askedIn ??= epoch;
        if (epoch !== askedIn) {
          // With its locks Redis forgot whether this request was given up.
          held?.[Symbol.dispose]();
          throw new LockLostError('Redis lost its memory while the request waited');
        }
        if (held !== undefined) return held;
        if (requester.signal.aborted) throw new RequestGoneError(requester.signal.reason);
        if (performance.now() >= giveUpAt) {
          throw new LockBusyError('other requests change it at the moment');
        }
        await wake.next(freed(key), requester.signal);
      }
    } catch (error) {
      release(key, token);
      throw error;
    }
  }

  /** @throws LockLostError, RequestGoneError */
  async function renew(mine: Lease): Promise<void> {
    const askedAt = ownTime();
    const args = [redisTime(), mine.token, lease, mine.epoch];
    const answer = await redis.run(confirmLockScript, keysOf(mine.key, mine.requester), args);
    if (answer === -2) throw new RequestGoneError();
    if (answer !== 1) throw new LockLostError('this process was held up, or Redis lost the lock');
    mine.endsAt = askedAt + lease;
  }

  // Most locks are gone long before; only what is held for long is ever renewed.
  const timer = setInterval(() => {
    for (const mine of leases) {
      if (mine.endsAt - ownTime() >= (lease * 2) / 3) continue;
      // Whether it is still ours shows at the next step that others would see.
      renew(mine).catch(() => {});
    }
  }, lease / 6).unref();

  return {
    shared: (key, requester = unattended) => acquire(key, 's', requester),
    exclusive: (key, requester = unattended) => acquire(key, 'x', requester),
    async tryExclusive(key) {
      return (await ask({ key, token: randomUUID(), requester: unattended }, 'x', 0)).held;
    },
    async close() {
      closed = true;
      clearInterval(timer);
      for (const mine of leases) release(mine.key, mine.token);
      leases.clear();
    },
  };
}
