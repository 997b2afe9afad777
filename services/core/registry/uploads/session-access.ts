import { LRUCache } from 'lru-cache';
import { atMost } from '#libs/limits/cache-size.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import type { RepositoryName } from '#libs/oci/reference.ts';
import type { UploadId } from '#libs/oci/upload-id.ts';
import type { Requester } from '../../sessions/locks.ts';
import {
  SessionBusyError,
  type SessionLock,
  SessionLostError,
  type SessionStore,
  type UploadSession,
} from '../../sessions/session-store.ts';
import { type StorageDriver, StorageError } from '../../storage/driver.ts';
import type { LockedRequest } from './take-chunk.ts';
import { recoverSession } from './upload-folder.ts';

/** Which upload is meant, and who asks. */
export interface UploadKey {
  repository: RepositoryName;
  id: UploadId;
  subject: string;
}

/** How often a lock is asked for whose session the store forgets while we wait. */
const attempts = 3;

/** The sessions that clients ask for, wherever they are known. */
export interface SessionAccess {
  /** One that was begun here. */
  add(session: UploadSession): void;
  /** Also one that only storage knows. @throws RegistryError BLOB_UPLOAD_UNKNOWN */
  find(key: UploadKey): Promise<UploadSession>;
  /**
   * Runs an action with the session's lock, for which it waits. A session that the store forgets meanwhile is built
   * again from storage.
   * @throws RegistryError BLOB_UPLOAD_UNKNOWN, UNAVAILABLE if another request holds the session; RequestGoneError; what
   *   the action throws
   */
  withLock<T>(
    key: UploadKey,
    requester: Requester,
    action: (request: LockedRequest) => Promise<T>,
  ): Promise<T>;
}

/** What an upload is, for as long as it is: the tree says so, and whoever writes to the session store has no say in it. */
type Description = Pick<
  UploadSession,
  'id' | 'repository' | 'subject' | 'network' | 'algorithm' | 'startedAt'
>;

/** Descriptions that are remembered; others are read from the tree again. */
const maxKnown = 10_000;

export function createSessionAccess(driver: StorageDriver, sessions: SessionStore): SessionAccess {
  const known = new LRUCache<UploadId, Description>(atMost(maxKnown));

  async function find({ repository, id, subject }: UploadKey): Promise<UploadSession> {
    let noted = await sessions.read(id);
    let description = known.get(id);
    if (noted === undefined || description === undefined) {
      const recovered = await recoverSession(driver, repository, id);
      if (recovered === undefined) throw unknownUpload(id);
      description = describe(recovered);
      known.set(id, description);
      if (noted === undefined) await sessions.create(recovered);
      noted ??= recovered;
    }
    if (description.repository !== repository || description.subject !== subject) {
      throw unknownUpload(id);
    }
    return { ...noted, ...description };
  }

  async function acquire(
    key: UploadKey,
    requester: Requester,
    onReleaseRequested: () => void,
  ): Promise<SessionLock> {
    for (let attempt = 1; attempt <= attempts; attempt += 1) {
      const description = describe(await find(key));
      const lock = await sessions.acquire(key.id, { requester, onReleaseRequested });
      if (lock !== undefined) return withDescription(lock, description);
    }
    throw new SessionBusyError('the upload cannot be coordinated at the moment');
  }

  async function withLock<T>(
    key: UploadKey,
    requester: Requester,
    action: (request: LockedRequest) => Promise<T>,
  ): Promise<T> {
    const release = new AbortController();
    try {
      await using lock = await acquire(key, requester, () => release.abort());
      return await action({ lock, requester, releaseAsked: release.signal });
    } catch (error) {
      if (error instanceof SessionBusyError || error instanceof SessionLostError) {
        const { message } = error;
        throw new RegistryError('UNAVAILABLE', { message, retryAfter: 2, cause: error });
      }
      if (error instanceof StorageError && error.code === 'not-found') {
        throw await explainMissing(key, error);
      }
      throw error;
    }
  }

  /**
   * Our file is gone: with its folder, as the original registry's purge does, or taken over by another
   * core. What is there now is not ours to remove.
   */
  async function explainMissing(
    { repository, id }: UploadKey,
    cause: StorageError,
  ): Promise<RegistryError> {
    if ((await recoverSession(driver, repository, id)) === undefined) return unknownUpload(id);
    const { message } = new SessionLostError();
    return new RegistryError('UNAVAILABLE', { message, retryAfter: 1, cause });
  }

  return { find, withLock, add: (session) => void known.set(session.id, describe(session)) };
}

function describe(session: UploadSession): Description {
  const { id, repository, subject, network, algorithm, startedAt } = session;
  return { id, repository, subject, network, algorithm, startedAt };
}

/** The same lock; what its session is comes from elsewhere than the store. */
function withDescription(lock: SessionLock, description: Description): SessionLock {
  return {
    get session() {
      return { ...lock.session, ...description };
    },
    assertHeld: () => lock.assertHeld(),
    confirm: () => lock.confirm(),
    update: (progress) => lock.update(progress),
    remove: () => lock.remove(),
    [Symbol.asyncDispose]: () => lock[Symbol.asyncDispose](),
  };
}

export function unknownUpload(id: UploadId): RegistryError {
  return new RegistryError('BLOB_UPLOAD_UNKNOWN', { detail: { id } });
}
