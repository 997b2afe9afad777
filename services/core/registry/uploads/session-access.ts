import { RegistryError } from '#libs/oci/errors.ts';
import type { RepositoryName } from '#libs/oci/reference.ts';
import type { UploadId } from '#libs/oci/upload-id.ts';
import type { Requester } from '../../sessions/locks.ts';
import {
  SessionBusyError,
  type SessionLock,
  type SessionStore,
  type UploadSession,
} from '../../sessions/session-store.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import type { PartialUploads } from './partial-uploads.ts';
import { readUploadFolder, recoverSession } from './upload-folder.ts';

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
  /** Also one that only storage knows. @throws RegistryError BLOB_UPLOAD_UNKNOWN */
  find(key: UploadKey): Promise<UploadSession>;
  /**
   * Waits for the session's lock.
   * @throws RegistryError BLOB_UPLOAD_UNKNOWN; SessionBusyError, RequestGoneError
   */
  acquire(
    key: UploadKey,
    requester: Requester,
    onReleaseRequested: () => void,
  ): Promise<SessionLock>;
}

interface Dependencies {
  driver: StorageDriver;
  sessions: SessionStore;
  partials: PartialUploads;
  /** This core, as the session store knows it. */
  holder: string;
}

export function createSessionAccess({
  driver,
  sessions,
  partials,
  holder,
}: Dependencies): SessionAccess {
  async function find({ repository, id, subject }: UploadKey): Promise<UploadSession> {
    let session = await sessions.read(id);
    if (session === undefined) {
      const recovered = await recoverSession(driver, repository, id);
      if (recovered !== undefined) await sessions.create(recovered);
      session = recovered;
    }
    if (session?.repository !== repository || session.subject !== subject) {
      throw unknownUpload(id);
    }
    return session;
  }

  /**
   * Where a request of ours still hangs in the middle of our file, having lost its turn, we go on with a file
   * of another number.
   */
  async function acquire(
    key: UploadKey,
    requester: Requester,
    onReleaseRequested: () => void,
  ): Promise<SessionLock> {
    const lock = await acquireBeyond(key, requester, onReleaseRequested, async (session) => {
      const isHeld = session.holder === holder && partials.has(key.id);
      return isHeld ? session.fence : await highestFence(key);
    });
    if (lock.takenOver || !partials.isBusy(key.id)) return lock;
    await lock[Symbol.asyncDispose]();
    return await acquireBeyond(
      key,
      requester,
      onReleaseRequested,
      async ({ fence }) => Math.max(fence, await highestFence(key)) + 1,
    );
  }

  /** The session's lock. A session that the store forgets meanwhile is built again from storage. */
  async function acquireBeyond(
    key: UploadKey,
    requester: Requester,
    onReleaseRequested: () => void,
    seen: (session: UploadSession) => Promise<number>,
  ): Promise<SessionLock> {
    for (let attempt = 1; attempt <= attempts; attempt += 1) {
      const seenFence = await seen(await find(key));
      const options = { holder, seenFence, requester, onReleaseRequested };
      const lock = await sessions.acquire(key.id, options);
      if (lock !== undefined) return lock;
    }
    throw new SessionBusyError('the upload cannot be coordinated at the moment');
  }

  async function highestFence({ repository, id }: UploadKey): Promise<number> {
    return (await readUploadFolder(driver, repository, id, { hasBytes: false })).highestFence;
  }

  return { find, acquire };
}

export function unknownUpload(id: UploadId): RegistryError {
  return new RegistryError('BLOB_UPLOAD_UNKNOWN', { detail: { id } });
}
