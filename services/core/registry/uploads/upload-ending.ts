import { type Digest, digestParts } from '#libs/oci/digest.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { confirmTogether, type Held, type Locks } from '../../sessions/locks.ts';
import type { SessionLock } from '../../sessions/session-store.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import type { BlobStore } from '../blob-store.ts';
import { digestFile } from '../digest-file.ts';
import { paths } from '../paths.ts';
import type { PartialUpload } from './partial-upload.ts';
import type { PartialUploads } from './partial-uploads.ts';
import type { LockedRequest } from './take-chunk.ts';
import { endUpload, noteStored } from './upload-holder.ts';

/** How an upload ends, for whoever has its lock. */
export interface UploadEnding {
  /** Checks the whole and makes it the repository's blob. @throws RegistryError DIGEST_INVALID, which ends it too */
  commit(request: LockedRequest, partial: PartialUpload, digest: Digest): Promise<void>;
  /**
   * Gives the repository what is a blob by now, and ends the upload.
   * @param fence the number of its holder
   */
  linkStored(
    request: Pick<LockedRequest, 'lock' | 'requester'>,
    digest: Digest,
    fence: number,
  ): Promise<void>;
  /**
   * Ends the session and removes what it left in storage.
   * @param fence the number of its holder; 0 if nobody wrote to it
   * @throws SessionLostError if another one holds it by now
   */
  end(lock: SessionLock, fence: number): Promise<void>;
}

interface Dependencies {
  driver: StorageDriver;
  locks: Locks;
  blobs: BlobStore;
  partials: PartialUploads;
}

export function createUploadEnding({ driver, locks, blobs, partials }: Dependencies): UploadEnding {
  async function commit(
    request: LockedRequest,
    partial: PartialUpload,
    digest: Digest,
  ): Promise<void> {
    const { lock, requester } = request;
    const { session } = lock;
    const { algorithm } = digestParts(digest);
    await partial.sync();
    await partial.close();
    const actual =
      algorithm === session.algorithm
        ? partial.digest()
        : await digestFile(driver, partial.path, algorithm, requester);
    if (actual !== digest) {
      partial.invalidate();
      await end(lock, partial.fence);
      throw new RegistryError('DIGEST_INVALID', {
        message: `the uploaded bytes have the digest ${actual}, not ${digest}`,
        detail: { digest: actual },
      });
    }
    // Waited for before the bytes go: until then they are where the client left them, whatever it does next.
    using shared = await locks.shared(session.repository, requester);
    await noteStored(driver, session, partial.fence, digest);
    partial.invalidate();
    await driver.move(partial.path, paths.blob(digest));
    await linkAndEnd(lock, shared, digest, partial.fence, () => partial.assertHeld());
  }

  async function linkStored(
    { lock, requester }: Pick<LockedRequest, 'lock' | 'requester'>,
    digest: Digest,
    fence: number,
  ): Promise<void> {
    using shared = await locks.shared(lock.session.repository, requester);
    // Whoever moved the bytes may have been ended before that was kept over a power loss.
    await driver.syncName?.(paths.blob(digest));
    await linkAndEnd(lock, shared, digest, fence);
  }

  /** @param shared the repository's lock: no delete in it comes between */
  async function linkAndEnd(
    lock: SessionLock,
    shared: Held,
    digest: Digest,
    fence: number,
    assertHeld = async () => {},
  ): Promise<void> {
    await blobs.link(lock.session.repository, digest, {
      async confirm() {
        await confirmTogether(lock, shared);
        // Who cancelled it was told that it is over.
        await assertHeld();
      },
    });
    // The blob is the repository's for good; what may be left of the session is the purge's.
    await end(lock, fence).catch(() => {});
  }

  async function end(lock: SessionLock, fence: number): Promise<void> {
    const { session } = lock;
    partials.forget(session.id);
    await lock.confirm();
    // First what is in storage, so that nobody rebuilds the session of it.
    await endUpload(driver, session, fence);
    // It is over, whoever has the session by now.
    await lock.remove().catch(() => {});
  }

  return { commit, linkStored, end };
}
