import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import fc from 'fast-check';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { createUploadId, type UploadId } from '#libs/oci/upload-id.ts';
import {
  type Requester,
  RequestGoneError,
  unattended,
} from '../../services/core/sessions/locks.ts';
import {
  SessionBusyError,
  type SessionLock,
  SessionLostError,
  type SessionStore,
  type UploadSession,
} from '../../services/core/sessions/session-store.ts';

export interface SessionStoreContract {
  name: string;
  /** @param drainPeriod milliseconds a holder has to let go */
  create: (options: { drainPeriod: number }) => Promise<SessionStore>;
  /** Cases this store cannot pass, each with its reason. */
  skip?: readonly { case: string; reason: string }[];
}

/** Longer than any case takes; those in which a wait must run out have a store of their own. */
const patient = 60_000;
const impatient = 20;

/** What a store cannot do that has one core only. */
export const notForOneCore = [
  {
    case: 'the same holder gets a new fence where storage has seen a higher one',
    reason: 'a core that is alone has no business beside another: it is told that it lost',
  },
] as const;

/** What every session store promises; a store's test is this and a factory. */
export function sessionStoreContract({ name, create, skip = [] }: SessionStoreContract): void {
  describe(`${name} keeps the session contract`, () => {
    let store: SessionStore;

    beforeEach(async () => {
      store = await create({ drainPeriod: patient });
    });

    afterEach(async () => {
      await store.close();
    });

    const check = (title: string, body: () => Promise<void>) => {
      const reason = skip.find((entry) => entry.case === title)?.reason;
      test(title, { skip: reason ?? false }, body);
    };

    async function opened(session: Partial<UploadSession> = {}): Promise<UploadId> {
      const whole = makeSession(session);
      await store.create(whole);
      return whole.id;
    }

    check('a session is read as it was created', async () => {
      const session = makeSession({ subject: 'alice', offset: 7 });
      await store.create(session);
      assert.deepEqual(await store.read(session.id), session);
    });

    check('an unknown session is undefined, and cannot be acquired', async () => {
      assert.equal(await store.read(createUploadId()), undefined);
      assert.equal(await acquire(store, createUploadId(), 'a'), undefined);
    });

    check('creating a known session again changes nothing', async () => {
      const session = makeSession({ offset: 5 });
      await store.create(session);
      await store.create({ ...session, offset: 0, subject: 'mallory' });
      assert.deepEqual(await store.read(session.id), session);
    });

    check('the first holder takes over and gets a fence beyond what storage has', async () => {
      const id = await opened();
      await using lock = await held(store, id, 'a', { seenFence: 4 });
      assert.equal(lock.takenOver, true);
      assert.equal(lock.session.fence, 5);
      assert.equal(lock.session.holder, 'a');
      assert.equal((await store.read(id))?.fence, 5);
    });

    check('the same holder comes back to its own fence', async () => {
      const id = await opened();
      await release(await held(store, id, 'a'));
      await using lock = await held(store, id, 'a', { seenFence: 1 });
      assert.equal(lock.takenOver, false);
      assert.equal(lock.session.fence, 1);
    });

    check('the same holder gets a new fence where storage has seen a higher one', async () => {
      const id = await opened();
      await release(await held(store, id, 'a'));
      await using lock = await held(store, id, 'a', { seenFence: 7 });
      assert.equal(lock.takenOver, true);
      assert.equal(lock.session.fence, 8);
    });

    check('each new holder gets a fence that nobody had', async () => {
      const step = fc.record({ holder: fc.constantFrom('a', 'b', 'c'), seenFence: fc.nat(9) });
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
          const id = await opened();
          let last = { holder: '', fence: 0 };
          for (const { holder, seenFence: seen } of steps) {
            // Its own file is the newest that a holder sees which nobody has taken over from.
            const seenFence = holder === last.holder ? last.fence : seen;
            await using lock = await held(store, id, holder, { seenFence });
            const { fence } = lock.session;
            assert.equal(lock.takenOver, holder !== last.holder);
            if (lock.takenOver) assert.ok(fence > Math.max(last.fence, seenFence));
            else assert.equal(fence, last.fence);
            last = { holder, fence };
          }
        }),
        { numRuns: 50 },
      );
    });

    check('progress is what the next one finds', async () => {
      const id = await opened();
      const lock = await held(store, id, 'a');
      await lock.update({ offset: 10, digest: undefined });
      assert.equal(lock.session.offset, 10);
      await release(lock);
      assert.equal((await store.read(id))?.offset, 10);
      await using next = await held(store, id, 'b');
      assert.equal(next.session.offset, 10);
    });

    check('a second comer asks the holder to let go, and then has the session', async () => {
      const id = await opened();
      const asked = Promise.withResolvers<void>();
      const lock = await held(store, id, 'a', { onReleaseRequested: asked.resolve });
      const second = held(store, id, 'b');
      await asked.promise;
      await lock.update({ offset: 3, digest: undefined });
      await release(lock);
      await using next = await second;
      assert.equal(next.takenOver, true);
      assert.equal(next.session.offset, 3);
    });

    check('nobody is asked to let go while nobody waits', async () => {
      const id = await opened();
      let asked = 0;
      const ask = {
        onReleaseRequested() {
          asked += 1;
        },
      };
      await release(await held(store, id, 'a', ask));
      await release(await held(store, id, 'b', ask));
      assert.equal(asked, 0);
    });

    check('one holds at a time, and all who wait get their turn', async () => {
      const id = await opened();
      let inside = 0;
      let most = 0;
      const first = await held(store, id, 'first');
      const visits = ['b', 'c', 'd', 'e'].map(async (holder) => {
        await using lock = await held(store, id, holder);
        inside += 1;
        most = Math.max(most, inside);
        await new Promise((resolve) => setImmediate(resolve));
        await lock.update({ offset: inside, digest: undefined });
        inside -= 1;
      });
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(inside, 0);
      await release(first);
      await Promise.all(visits);
      assert.equal(most, 1);
    });

    check('a holder that is waited for already is asked at once', async () => {
      const id = await opened();
      const first = await held(store, id, 'a');
      const asked = Promise.withResolvers<void>();
      const second = held(store, id, 'b', { onReleaseRequested: asked.resolve });
      const third = held(store, id, 'c');
      await release(first);
      const lock = await second;
      await asked.promise;
      await release(lock);
      await release(await third);
    });

    check('removing ends the session for all who wait', async () => {
      const id = await opened();
      const lock = await held(store, id, 'a');
      const waiting = ['b', 'c'].map((holder) => acquire(store, id, holder));
      await new Promise((resolve) => setImmediate(resolve));
      await lock.remove();
      await release(lock);
      assert.deepEqual(await Promise.all(waiting), [undefined, undefined]);
      assert.equal(await store.read(id), undefined);
    });

    check('a removed session cannot be written to any more', async () => {
      const id = await opened();
      await using lock = await held(store, id, 'a');
      await lock.remove();
      await rejectsAsLost(() => lock.remove());
      await rejectsAsLost(() => lock.update({ offset: 1, digest: undefined }));
      assert.equal(await store.read(id), undefined);
    });

    check('a lock that was released has no say any more', async () => {
      const id = await opened();
      const old = await held(store, id, 'a');
      await release(old);
      await rejectsAsLost(() => old.update({ offset: 99, digest: undefined }));
      await using lock = await held(store, id, 'b');
      await rejectsAsLost(() => old.update({ offset: 99, digest: undefined }));
      await rejectsAsLost(() => old.remove());
      // A second release must not open the door that another one holds.
      await release(old);
      await lock.update({ offset: 1, digest: undefined });
      assert.equal((await store.read(id))?.offset, 1);
    });

    check('a session made anew under an old name starts anew', async () => {
      const id = await opened({ offset: 9 });
      const lock = await held(store, id, 'a');
      await lock.remove();
      await store.create(makeSession({ id, offset: 0 }));
      await release(lock);
      assert.equal((await store.read(id))?.offset, 0);
      await using next = await held(store, id, 'b');
      assert.equal(next.takenOver, true);
    });

    check('sessions do not wait for each other', async () => {
      await using one = await held(store, await opened(), 'a');
      await using other = await held(store, await opened(), 'a');
      assert.notEqual(one.session.id, other.session.id);
    });

    check('who waits stops when its client leaves, and the next one has its turn', async () => {
      const id = await opened();
      const first = await held(store, id, 'a');
      const leaving = new AbortController();
      const requester = { id: 'b', signal: leaving.signal };
      const second = assert.rejects(acquire(store, id, 'b', { requester }), RequestGoneError);
      const third = held(store, id, 'c');
      leaving.abort();
      await second;
      await release(first);
      await release(await third);
    });

    check('what a client that left would do is not confirmed', async () => {
      const id = await opened();
      const leaving = new AbortController();
      await using lock = await held(store, id, 'a', {
        requester: { id: 'a', signal: leaving.signal },
      });
      await lock.confirm();
      leaving.abort();
      await assert.rejects(lock.confirm(), RequestGoneError);
    });

    check('a lock that somebody else has by now is not confirmed', async () => {
      const id = await opened();
      const old = await held(store, id, 'a');
      await release(old);
      await using _other = await held(store, id, 'b');
      await rejectsAsLost(() => old.confirm());
    });

    check('a holder that does not let go keeps the session; who waited is told', async () => {
      const hasty = await create({ drainPeriod: impatient });
      const session = makeSession();
      await hasty.create(session);
      const lock = await held(hasty, session.id, 'a');
      await assert.rejects(acquire(hasty, session.id, 'b'), SessionBusyError);
      await lock.update({ offset: 2, digest: undefined });
      await release(lock);
      // The one who gave up is not waited for.
      await using next = await held(hasty, session.id, 'c');
      assert.equal(next.session.offset, 2);
      await hasty.close();
    });
  });
}

/** A session that nobody has, but for what is given. */
export function makeSession(session: Partial<UploadSession> = {}): UploadSession {
  return {
    id: createUploadId(),
    repository: parseRepositoryName('team/app'),
    subject: '',
    algorithm: 'sha256',
    startedAt: new Date('2026-01-02T03:04:05Z'),
    holder: undefined,
    fence: 0,
    offset: 0,
    digest: undefined,
    ...session,
  };
}

interface Asking {
  seenFence?: number;
  requester?: Requester;
  onReleaseRequested?: () => void;
}

async function acquire(
  store: SessionStore,
  id: UploadId,
  holder: string,
  { seenFence = 0, requester = unattended, onReleaseRequested = () => {} }: Asking = {},
): Promise<SessionLock | undefined> {
  return await store.acquire(id, { holder, seenFence, requester, onReleaseRequested });
}

async function held(
  store: SessionStore,
  id: UploadId,
  holder: string,
  asking: Asking = {},
): Promise<SessionLock> {
  const lock = await acquire(store, id, holder, asking);
  assert.ok(lock !== undefined, 'the session is there');
  return lock;
}

async function release(lock: SessionLock): Promise<void> {
  await lock[Symbol.asyncDispose]();
}

async function rejectsAsLost(action: () => Promise<void>): Promise<void> {
  await assert.rejects(action, SessionLostError);
}
