import { LRUCache } from 'lru-cache';
import type { UploadId } from '#libs/oci/upload-id.ts';
import { SessionLostError, type UploadSession } from '../../sessions/session-store.ts';
import { type StorageDriver, StorageError } from '../../storage/driver.ts';
import { paths } from '../paths.ts';
import { Holding, type HoldingPaths } from './holding.ts';
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
  /** True while a request of ours writes to it, or hangs in the middle of that. */
  isBusy(id: UploadId): boolean;
  /** Forgets our file, which stays where it is. */
  drop(id: UploadId): void;
}

export function createHoldings(driver: StorageDriver): Holdings {
  const held = new LRUCache<UploadId, Holding>({ max: maxHeld });

  async function open(session: UploadSession): Promise<Holding> {
    const { repository, id, fence, algorithm, offset, digest } = session;
    const files: HoldingPaths = {
      closed: paths.uploadData(repository, id, fence),
      open: paths.uploadOpen(repository, id, fence),
      copy: paths.uploadCopy(repository, id, fence),
    };
    const { newest } = await readHolderFiles(driver, repository, id);
    if (newest === undefined) {
      if (offset > 0) throw new StorageError('not-found', files.closed);
      return await Holding.create(driver, files, algorithm);
    }
    if (newest.fence > fence) throw new SessionLostError('another core has taken this upload over');
    if (newest.fence === fence) return await Holding.reread(driver, newest, files, algorithm);
    // Whoever opens it for writing gives it another name first: either finds that the other was faster.
    if (!newest.open && digest !== undefined && (await driver.stat(newest.path)).size === offset) {
      return await Holding.adopt(driver, newest, files, { algorithm, digest });
    }
    return await Holding.takeOver(driver, newest, files, algorithm);
  }

  return {
    async hold(session) {
      const { repository, id, fence } = session;
      const known = held.get(id);
      const isOurs = known?.path === paths.uploadData(repository, id, fence) && known.usable;
      if (known !== undefined && isOurs) return known;
      held.delete(id);
      const holding = await open(session);
      held.set(id, holding);
      return holding;
    },
    sizeOf: (id) => held.get(id)?.size,
    isBusy: (id) => held.get(id)?.busy ?? false,
    drop: (id) => void held.delete(id),
  };
}
