import { RegistryError } from '#libs/oci/errors.ts';
import type { RepositoryName } from '#libs/oci/reference.ts';
import type { UploadId } from '#libs/oci/upload-id.ts';
import { type Requester, unattended } from '../../sessions/locks.ts';
import type { SessionStore, UploadSession } from '../../sessions/session-store.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import { paths } from '../paths.ts';
import type { PartialUploads } from './partial-uploads.ts';
import type { UploadKey } from './session-access.ts';
import type { LockedRequest } from './take-chunk.ts';
import type { UploadEnding } from './upload-ending.ts';
import {
  measureUpload,
  readUploadFolder,
  recoverSession,
  type UploadPlace,
} from './upload-folder.ts';
import { takeOver } from './upload-holder.ts';
import { walkUploads } from './walk-uploads.ts';

/** Ending the uploads that their clients left. */
export interface UploadUpkeep {
  /**
   * Ends a session that has no byte. One that gets its first at this moment stays: that request is told to
   * come again.
   * @returns whether it was ended
   * @throws RegistryError BLOB_UPLOAD_UNKNOWN
   */
  endIfEmpty(key: UploadKey): Promise<boolean>;
  /**
   * Ends uploads that were opened before a time, also those that an older registry left. One that
   * another request does not let go of stays for the next time.
   * @returns how many were ended, or would be
   * @throws what the first of them failed with, when all were looked at; what the signal was aborted with
   */
  purge(openedBefore: Date, options: { dryRun: boolean; signal?: AbortSignal }): Promise<number>;
}

interface Dependencies {
  driver: StorageDriver;
  sessions: SessionStore;
  partials: PartialUploads;
  find: (key: UploadKey) => Promise<UploadSession>;
  withLock: <T>(
    key: UploadKey,
    requester: Requester,
    action: (request: LockedRequest) => Promise<T>,
  ) => Promise<T>;
  end: UploadEnding['end'];
  cancel: (key: UploadKey, requester: Requester) => Promise<void>;
  pruneFolders: (place: UploadPlace) => Promise<void>;
}

export function createUploadUpkeep({
  driver,
  sessions,
  partials,
  find,
  withLock,
  end,
  cancel,
  pruneFolders,
}: Dependencies): UploadUpkeep {
  /** @returns false if somebody is at it */
  async function purgeOne(repository: RepositoryName, id: UploadId): Promise<boolean> {
    // One that this store forgot may be in use all the same, by a core that has not noticed yet.
    const isOurs = (await readUploadFolder(driver, { repository, id })).session !== undefined;
    const session = isOurs
      ? ((await sessions.read(id)) ?? (await recoverSession(driver, repository, id)))
      : undefined;
    try {
      if (session === undefined) {
        await driver.remove(paths.upload(repository, id));
        await pruneFolders({ repository, id });
      } else {
        const key = { repository, id, subject: session.subject };
        await cancel(key, unattended);
      }
      return true;
    } catch (error) {
      if (error instanceof RegistryError) return false;
      throw error;
    }
  }

  return {
    async endIfEmpty(key) {
      // Looked at first: to ask for the lock is to ask whoever writes to let go.
      if (partials.isInUse(key.id)) return false;
      if ((await find(key)).offset > 0 || (await measureUpload(driver, key)).size > 0) return false;
      const isEnded = await withLock(key, unattended, async ({ lock }) => {
        // Held first: nobody acknowledges another byte then.
        const { fence } = await takeOver(driver, key);
        if ((await measureUpload(driver, key)).size > 0) return false;
        await end(lock, fence);
        return true;
      });
      if (isEnded) await pruneFolders(key);
      return isEnded;
    },

    async purge(openedBefore, { dryRun, signal }) {
      let found = 0;
      const failures: unknown[] = [];
      for await (const { repository, id, openedAt } of walkUploads(driver)) {
        signal?.throwIfAborted();
        if (openedAt >= openedBefore) continue;
        try {
          if (dryRun || (await purgeOne(repository, id))) found += 1;
        } catch (error) {
          failures.push(error);
        }
      }
      // One that cannot be read keeps no other one.
      if (failures.length > 0) throw failures[0];
      return found;
    },
  };
}
