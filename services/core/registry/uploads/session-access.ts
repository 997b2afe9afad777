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
  /** Also one that only storage knows. @throws RegistryError BLOB_UPLOAD_UNKNOWN */
  find(key: UploadKey): Promise<UploadSession>;
  /**
   * Waits for the session's lock. A session that the store forgets meanwhile is built again from storage.
   * @throws RegistryError BLOB_UPLOAD_UNKNOWN; SessionBusyError, RequestGoneError
   */
  acquire(
    key: UploadKey,
    requester: Requester,
    onReleaseRequested: () => void,
  ): Promise<SessionLock>;
}

export function createSessionAccess(driver: StorageDriver, sessions: SessionStore): SessionAccess {
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

  async function acquire(
    key: UploadKey,
    requester: Requester,
    onReleaseRequested: () => void,
  ): Promise<SessionLock> {
    for (let attempt = 1; attempt <= attempts; attempt += 1) {
      await find(key);
      const lock = await sessions.acquire(key.id, { requester, onReleaseRequested });
      if (lock !== undefined) return lock;
    }
    throw new SessionBusyError('the upload cannot be coordinated at the moment');
  }

  return { find, acquire };
}

export function unknownUpload(id: UploadId): RegistryError {
  return new RegistryError('BLOB_UPLOAD_UNKNOWN', { detail: { id } });
}
