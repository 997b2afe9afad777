import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { createUploadId, type UploadId } from '#libs/oci/upload-id.ts';
import type { RedisConnection } from '#libs/redis/connection.ts';
import { giveUp } from '#libs/redis/give-up.ts';
import {
  confirmTogether,
  type Locks,
  RequestGoneError,
  unattended,
} from '../../services/core/sessions/locks.ts';
import { createRedisLocks } from '../../services/core/sessions/redis/redis-locks.ts';
import { createRedisSessionStore } from '../../services/core/sessions/redis/redis-sessions.ts';
import { createWake } from '../../services/core/sessions/redis/wake.ts';
import type { SessionStore } from '../../services/core/sessions/session-store.ts';
import { type CoresOnRedis, startCoresOnRedis } from '../support/cores-on-redis.ts';

const lease = 4000;
const thing = 'team/app';

describe('an answer of Redis that is read late', () => {
  let world: CoresOnRedis;
  /** What happens between an answer and its being read. */
  let meanwhile = async () => {};
  let locks: Locks;
  let sessions: SessionStore;

  before(async () => {
    world = await startCoresOnRedis();
    const redis: RedisConnection = {
      ...world.redis,
      run: async (...request) => {
        const answer = await world.redis.run(...request);
        await meanwhile();
        return answer;
      },
    };
    const wake = createWake(redis);
    locks = createRedisLocks({ redis, wake, lease });
    sessions = createRedisSessionStore({ redis, wake, lease });
  });

  after(async () => {
    await locks?.close();
    await world?.[Symbol.asyncDispose]();
  });

  /** Confirms what is held, while something happens before each answer is read. */
  async function confirm(
    held: { confirm(): Promise<void> } | undefined,
    during: () => Promise<unknown>,
  ): Promise<void> {
    assert.ok(held);
    meanwhile = async () => void (await during());
    await held.confirm().finally(() => {
      meanwhile = async () => {};
    });
  }

  async function begin(): Promise<UploadId> {
    const id = createUploadId();
    await sessions.create({
      id,
      repository: parseRepositoryName(thing),
      subject: '',
      algorithm: 'sha256',
      startedAt: new Date(),
      ...{ fence: 0, offset: 0, digest: undefined, proof: undefined },
    });
    return id;
  }

  /** Given up in the moment before the first answer is read. */
  function givingUp(name: string): () => Promise<void> {
    let asked = 0;
    return async () => {
      asked += 1;
      if (asked > 1) return;
      await giveUp(world.redis, name, 'given up');
      await sleep(300);
    };
  }

  const onReleaseRequested = () => {};
  const known = { ...unattended, id: 'given up' };

  test('is asked for again, and tells of a lock whose request was given up meanwhile', async () => {
    using lock = await locks.exclusive(thing, known);
    await assert.rejects(confirm(lock, givingUp(thing)), RequestGoneError);
  });

  test('is asked for again, and tells of an upload whose request was given up meanwhile', async () => {
    const id = await begin();
    await using lock = await sessions.acquire(id, { requester: known, onReleaseRequested });
    await assert.rejects(confirm(lock, givingUp(id)), RequestGoneError);
  });

  test('does not count where the client left meanwhile', async () => {
    const leaving = new AbortController();
    const requester = { ...unattended, signal: leaving.signal };
    using lock = await locks.exclusive(thing, requester);
    await using upload = await sessions.acquire(await begin(), { requester, onReleaseRequested });
    const leave = async () => leaving.abort();
    await assert.rejects(confirm(lock, leave), RequestGoneError);
    await assert.rejects(confirm(upload, leave), RequestGoneError);
  });

  test('of one lock has the other of the same step asked for again', async () => {
    using repository = await locks.shared(thing);
    using tag = await locks.exclusive(`${thing}:latest`);
    let asked = 0;
    meanwhile = async () => {
      asked += 1;
      // The lease of the repository's lock ends while the answer of the tag's is not read.
      if (asked === 2) await world.forgetLock(thing);
      if (asked === 2) await sleep(300);
    };
    const confirming = confirmTogether(repository, tag).finally(() => {
      meanwhile = async () => {};
    });
    await assert.rejects(confirming, { code: 'lock-lost' });
  });

  test('counts where Redis is always that slow, and is asked for no oftener for several locks', async () => {
    using lock = await locks.exclusive(thing);
    using other = await locks.exclusive('other');
    let asked = 0;
    const slow = async () => {
      asked += 1;
      await sleep(250);
    };
    await confirm(lock, slow);
    assert.equal(asked, 4);
    await confirm({ confirm: () => confirmTogether(lock, other) }, slow);
    assert.equal(asked, 12);
  });
});
