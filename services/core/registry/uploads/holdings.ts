import { LRUCache } from 'lru-cache';
import type { UploadId } from '#libs/oci/upload-id.ts';
import { SessionLostError, type UploadSession } from '../../sessions/session-store.ts';
import { type StorageDriver, StorageError } from '../../storage/driver.ts';
import { paths } from '../paths.ts';
import { Holding } from './holding.ts';
import { readHolderFiles } from './session-files.ts';

/** How many are remembered; one that was forgotten is read again. */
const maxHeld = 10_000;

/** The files that this core holds, by upload. */
export interface Holdings {
  /**
   * Our file of a session whose lock we have, with all bytes the session has: the one we know, or one
   * that takes over what the last holder left: its very file if it is closed, else a copy.
   * @throws SessionLostError if a newer holder has the bytes
   * @throws StorageError not-found if they are gone
   */
  hold(session: UploadSession): Promise<Holding>;
  /** How many bytes we hold; undefined if none of this upload. */
  sizeOf(id: UploadId): number | undefined;
  /** Lets go of our file, which stays where it is. */
  drop(id: UploadId): Promise<void>;
}

export function createHoldings(driver: StorageDriver): Holdings {
  const held = new LRUCache<UploadId, Holding>({ max: maxHeld });

  async function drop(id: UploadId): Promise<void> {
    await held.get(id)?.release();
    held.delete(id);
  }

  async function open(session: UploadSession): Promise<Holding> {
    const { repository, id, fence, algorithm, offset, settled, digest } = session;
    const own = paths.uploadData(repository, id, fence);
    const { newestData } = await readHolderFiles(driver, repository, id);
    if (newestData > fence) {
      throw new SessionLostError('another core has taken this upload over');
    }
    if (newestData === fence) return await Holding.reread(driver, own, algorithm);
    if (newestData > 0) {
      const from = paths.uploadData(repository, id, newestData);
      if (settled && digest !== undefined && (await driver.stat(from)).size === offset) {
        return await Holding.adopt(driver, from, own, { algorithm, digest });
      }
      const copy = paths.uploadCopy(repository, id, fence);
      return await Holding.takeOver(driver, from, copy, own, algorithm);
    }
    if (offset > 0) throw new StorageError('not-found', own);
    return await Holding.create(driver, own, algorithm);
  }

  return {
    async hold(session) {
      const { repository, id, fence } = session;
      const known = held.get(id);
      const isOurs = known?.path === paths.uploadData(repository, id, fence) && known.usable;
      if (known !== undefined && isOurs) return known;
      await drop(id);
      const holding = await open(session);
      held.set(id, holding);
      return holding;
    },
    sizeOf: (id) => held.get(id)?.size,
    drop,
  };
}
