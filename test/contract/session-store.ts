import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
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
}

/** Longer than any case takes; those in which a wait must run out have a store of their own. */
const patient = 60_000;
const impatient = 20;

/** What every session store promises; a store's test is this and a factory. */
export function sessionStoreContract({ name, create }: SessionStoreContract): void {
  describe(`${name} keeps the session contract`, () => {
    let store: SessionStore;

    beforeEach(async () => {
      store = await create({ drainPeriod: patient });
    });

    afterEach(async () => {
      await store.close();
    });

    async function opened(session: Partial<UploadSession> = {}): Promise<UploadId> {
      const whole = makeSession(session);
      await store.create(whole);
      return whole.id;
    }

    test('a session is read as it was created', async () => {
      const session = makeSession({ subject: 'alice', offset: 7 });
      await store.create(session);
      assert.deepEqual(await store.read(session.id), session);
    });

    test('an unknown session is undefined, and cannot be acquired', async () => {
      assert.equal(await store.read(createUploadId()), undefined);
      assert.equal(await acquire(store, createUploadId()), undefined);
    });

    test('creating a known session again changes nothing', async () => {
      const session = makeSession({ offset: 5 });
      await store.create(session);
      await store.create({ ...session, offset: 0, subject: 'mallory' });
      assert.deepEqual(await store.read(session.id), session);
    });

    test('progress is what the next one finds', async () => {
      const id = await opened();
      const lock = await held(store, id);
      await lock.update({ fence: 1, offset: 10, digest: undefined, proof: undefined });
      assert.equal(lock.session.offset, 10);
      await release(lock);
      assert.equal((await store.read(id))?.offset, 10);
      await using next = await held(store, id);
      assert.deepEqual(next.session, { ...makeSession({ id }), fence: 1, offset: 10 });
    });

    test('a second comer asks the holder to let go, and then has the session', async () => {
      const id = await opened();
      const asked = Promise.withResolvers<void>();
      const lock = await held(store, id, { onReleaseRequested: asked.resolve });
      const second = held(store, id);
      await asked.promise;
      await lock.update({ fence: 1, offset: 3, digest: undefined, proof: undefined });
      await release(lock);
      await using next = await second;
      assert.equal(next.session.offset, 3);
    });

    test('nobody is asked to let go while nobody waits', async () => {
      const id = await opened();
      let asked = 0;
      const ask = {
        onReleaseRequested() {
          asked += 1;
        },
      };
      await release(await held(store, id, ask));
      await release(await held(store, id, ask));
      assert.equal(asked, 0);
    });

    test('one holds at a time, and all who wait get their turn', async () => {
      const id = await opened();
      let inside = 0;
      let most = 0;
      const first = await held(store, id);
      const visits = [1, 2, 3, 4].map(async () => {
        await using lock = await held(store, id);
        inside += 1;
        most = Math.max(most, inside);
        await new Promise((resolve) => setImmediate(resolve));
        await lock.update({ fence: 1, offset: inside, digest: undefined, proof: undefined });
        inside -= 1;
      });
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(inside, 0);
      await release(first);
      await Promise.all(visits);
      assert.equal(most, 1);
    });

    test('a holder that is waited for already is asked at once', async () => {
      const id = await opened();
      const first = await held(store, id);
      const asked = Promise.withResolvers<void>();
      const second = held(store, id, { onReleaseRequested: asked.resolve });
      const third = held(store, id);
      await release(first);
      const lock = await second;
      await asked.promise;
      await release(lock);
      await release(await third);
    });

    test('removing ends the session for all who wait', async () => {
      const id = await opened();
      const lock = await held(store, id);
      const waiting = [1, 2].map(() => acquire(store, id));
      await new Promise((resolve) => setImmediate(resolve));
      await lock.remove();
      await release(lock);
      assert.deepEqual(await Promise.all(waiting), [undefined, undefined]);
      assert.equal(await store.read(id), undefined);
    });

    test('a removed session cannot be written to any more', async () => {
      const id = await opened();
      await using lock = await held(store, id);
      await lock.remove();
      await rejectsAsLost(() => lock.remove());
      await rejectsAsLost(() =>
        lock.update({ fence: 1, offset: 1, digest: undefined, proof: undefined }),
      );
      assert.equal(await store.read(id), undefined);
    });

    test('a lock that was released has no say any more', async () => {
      const id = await opened();
      const old = await held(store, id);
      await release(old);
      await rejectsAsLost(() =>
        old.update({ fence: 1, offset: 99, digest: undefined, proof: undefined }),
      );
      await using lock = await held(store, id);
      await rejectsAsLost(() =>
        old.update({ fence: 1, offset: 99, digest: undefined, proof: undefined }),
      );
      await rejectsAsLost(() => old.remove());
      // A second release must not open the door that another one holds.
      await release(old);
      await lock.update({ fence: 1, offset: 1, digest: undefined, proof: undefined });
      assert.equal((await store.read(id))?.offset, 1);
    });

    test('a session made anew under an old name starts anew', async () => {
      const id = await opened({ offset: 9 });
      const lock = await held(store, id);
      await lock.remove();
      await store.create(makeSession({ id, offset: 0 }));
      await release(lock);
      assert.equal((await store.read(id))?.offset, 0);
      await using next = await held(store, id);
      assert.equal(next.session.offset, 0);
    });

    test('sessions do not wait for each other', async () => {
      await using one = await held(store, await opened());
      await using other = await held(store, await opened());
      assert.notEqual(one.session.id, other.session.id);
    });

    test('who waits stops when its client leaves, and the next one has its turn', async () => {
      const id = await opened();
      const first = await held(store, id);
      const leaving = new AbortController();
      const requester = { id: 'b', signal: leaving.signal };
      const second = assert.rejects(acquire(store, id, { requester }), RequestGoneError);
      const third = held(store, id);
      leaving.abort();
      await second;
      await release(first);
      await release(await third);
    });

    test('what a client that left would do is not confirmed', async () => {
      const id = await opened();
      const leaving = new AbortController();
      await using lock = await held(store, id, {
        requester: { id: 'a', signal: leaving.signal },
      });
      await lock.confirm();
      leaving.abort();
      await assert.rejects(lock.confirm(), RequestGoneError);
    });

    test('a lock that somebody else has by now is not confirmed', async () => {
      const id = await opened();
      const old = await held(store, id);
      await release(old);
      await using _other = await held(store, id);
      await rejectsAsLost(() => old.confirm());
    });

    test('a holder that does not let go keeps the session; who waited is told', async () => {
      const hasty = await create({ drainPeriod: impatient });
      const session = makeSession();
      await hasty.create(session);
      const lock = await held(hasty, session.id);
      await assert.rejects(acquire(hasty, session.id), SessionBusyError);
      await lock.update({ fence: 1, offset: 2, digest: undefined, proof: undefined });
      await release(lock);
      // The one who gave up is not waited for.
      await using next = await held(hasty, session.id);
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
    fence: 0,
    offset: 0,
    digest: undefined,
    proof: undefined,
    ...session,
  };
}

interface Asking {
  requester?: Requester;
  onReleaseRequested?: () => void;
}

async function acquire(
  store: SessionStore,
  id: UploadId,
  { requester = unattended, onReleaseRequested = () => {} }: Asking = {},
): Promise<SessionLock | undefined> {
  return await store.acquire(id, { requester, onReleaseRequested });
}

async function held(store: SessionStore, id: UploadId, asking: Asking = {}): Promise<SessionLock> {
  const lock = await acquire(store, id, asking);
  assert.ok(lock !== undefined, 'the session is there');
  return lock;
}

async function release(lock: SessionLock): Promise<void> {
  await lock[Symbol.asyncDispose]();
}

async function rejectsAsLost(action: () => Promise<void>): Promise<void> {
  await assert.rejects(action, SessionLostError);
}
