import { LRUCache } from 'lru-cache';
import type { UploadId } from '#libs/oci/upload-id.ts';
import { SessionLostError, type UploadSession } from '../../sessions/session-store.ts';
import { type StorageDriver, StorageError } from '../../storage/driver.ts';
import { paths } from '../paths.ts';
import { PartialUpload, type PartialUploadPaths } from './partial-upload.ts';
import { findStored, readUploadFolder, type UploadFolder } from './upload-folder.ts';

/** How many are remembered; one that was forgotten is read again. */
const maxRemembered = 10_000;

/** The partial uploads whose holder is this core. */
export interface PartialUploads {
  /**
   * That of a session whose lock we have, with every byte that arrived: the one we know, or one that takes over what the
   * last holder left.
   * @throws SessionLostError if a newer holder has the bytes
   * @throws StorageError not-found if the upload is gone
   */
  open(session: UploadSession): Promise<PartialUpload>;
  /** True if we have one of this upload. */
  has(id: UploadId): boolean;
  /**
   * Says that a request of ours has the upload's lock, until it ends: it may have lost the lock by then, and hang in
   * the middle of our file.
   */
  enter(id: UploadId): Disposable;
  /** True while there is such a request. */
  isBusy(id: UploadId): boolean;
  /** Forgets ours; its file stays where it is. */
  forget(id: UploadId): void;
}

export function createPartialUploads(driver: StorageDriver): PartialUploads {
  const known = new LRUCache<UploadId, PartialUpload>({ max: maxRemembered });
  /** Requests of ours by upload. */
  const requests = new Map<UploadId, number>();

  async function takeOver(
    session: UploadSession,
    files: PartialUploadPaths,
    folder: UploadFolder,
  ): Promise<PartialUpload> {
    const { fence, algorithm, offset, digest } = session;
    const { newest } = folder;
    if (newest === undefined) {
      // They became a blob that the repository was not given.
      const stored = folder.isStored ? await findStored(driver, session) : undefined;
      if (stored === undefined) return await PartialUpload.create(driver, files, algorithm);
      const { path } = stored;
      return await PartialUpload.copy(driver, { path, keep: true }, files, algorithm);
    }
    if (newest.fence > fence) throw new SessionLostError('another core has taken this upload over');
    if (newest.kind === 'open') {
      return await PartialUpload.copy(driver, newest, files, algorithm);
    }
    if (digest !== undefined && (await driver.stat(newest.path)).size === offset) {
      return await PartialUpload.adopt(driver, newest.path, files, { algorithm, digest });
    }
    if (newest.fence === fence) return await PartialUpload.reread(driver, files, algorithm);
    return await PartialUpload.copy(driver, newest, files, algorithm);
  }

  return {
    async open(session) {
      const { repository, id, offset } = session;
      const ours = known.get(id);
      const hasBytes = ours !== undefined || offset > 0;
      const folder = await readUploadFolder(driver, repository, id, { hasBytes });
      // Removed by the original registry's purge, or about to be by who ended it before.
      const isGone = folder.newest === undefined && offset > 0 && !folder.isStored;
      if (!folder.isOurs || isGone) {
        throw new StorageError('not-found', paths.upload(repository, id));
      }
      const files = pathsOf(session);
      // Not if another core took it over, whatever the store remembers.
      const isNewest = ours?.path === files.data && ours.path === folder.newest?.path;
      if (isNewest && ours.usable) return ours;
      known.delete(id);
      const partial = await takeOver(session, files, folder);
      known.set(id, partial);
      return partial;
    },
    has: (id) => known.has(id),
    enter(id) {
      requests.set(id, (requests.get(id) ?? 0) + 1);
      return {
        [Symbol.dispose]() {
          const left = (requests.get(id) ?? 1) - 1;
          if (left > 0) requests.set(id, left);
          else requests.delete(id);
        },
      };
    },
    isBusy: (id) => requests.has(id),
    forget: (id) => void known.delete(id),
  };
}

function pathsOf({ repository, id, fence }: UploadSession): PartialUploadPaths {
  return {
    open: paths.uploadFile(repository, id, { kind: 'open', fence }),
    data: paths.uploadFile(repository, id, { kind: 'data', fence }),
    copy: paths.uploadFile(repository, id, { kind: 'copy', fence }),
  };
}
