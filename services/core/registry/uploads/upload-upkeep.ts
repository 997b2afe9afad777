import { RegistryError } from '#libs/oci/errors.ts';
import type { RepositoryName } from '#libs/oci/reference.ts';
import type { UploadId } from '#libs/oci/upload-id.ts';
import { type Requester, unattended } from '../../sessions/locks.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import { paths } from '../paths.ts';
import type { PartialUploads } from './partial-uploads.ts';
import type { SessionAccess, UploadKey } from './session-access.ts';
import type { UploadEnding } from './upload-ending.ts';
import { measureUpload, pruneUploadFolder, recoverSession } from './upload-folder.ts';
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
  partials: PartialUploads;
  access: SessionAccess;
  end: UploadEnding['end'];
  cancel: (key: UploadKey, requester: Requester) => Promise<void>;
}

export function createUploadUpkeep({
  driver,
  partials,
  access,
  end,
  cancel,
}: Dependencies): UploadUpkeep {
  /** @returns false if somebody is at it */
  async function purgeOne(repository: RepositoryName, id: UploadId): Promise<boolean> {
    // As storage has it: one that the session store forgot may be in use all the same.
    const session = await recoverSession(driver, repository, id);
    try {
      if (session === undefined) {
        await driver.remove(paths.upload(repository, id));
        await pruneUploadFolder(driver, { repository, id });
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
      if ((await access.find(key)).offset > 0 || (await measureUpload(driver, key)).size > 0)
        return false;
      const isEnded = await access.withLock(key, unattended, async ({ lock }) => {
        // Held first: nobody acknowledges another byte then.
        const { fence } = await takeOver(driver, key);
        if ((await measureUpload(driver, key)).size > 0) return false;
        await end(lock, fence);
        return true;
      });
      if (isEnded) await pruneUploadFolder(driver, key);
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
