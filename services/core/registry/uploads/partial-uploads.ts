import type { UploadId } from '#libs/oci/upload-id.ts';
import type { SessionLock, UploadSession } from '../../sessions/session-store.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import { ifPresent } from '../../storage/driver.ts';
import { partyOf } from './open-uploads.ts';
import { PartialUpload } from './partial-upload.ts';
import { createSharedCache } from './shared-cache.ts';
import { takeOver } from './upload-holder.ts';

/**
 * How many are remembered between two requests; one that was forgotten is taken over from ourselves, and read again.
 * Accounts and networks share them. Small ones, which many can have many of, are remembered apart, so that they drive out
 * no large one.
 */
const maxRemembered = 10_000;

/** Bytes of one that is read again in no time. */
const small = 1024 * 1024;

/** The partial uploads that this core holds. */
export interface PartialUploads {
  /**
   * Runs an action with the bytes of an upload whose lock we have, as their only holder: with the one that we know, or
   * with what we take over from whoever held them, be it another request of ours that lost its lock and hangs.
   * @param assertWanted throws when nobody waits any more for bytes that are read again
   * @throws StorageError not-found if the upload is over, or others get ahead of us; SessionLostError
   */
  use<T>(
    lock: SessionLock,
    assertWanted: () => void,
    action: (partial: PartialUpload) => Promise<T>,
  ): Promise<T>;
  /** True while a request of ours uses one of this upload. */
  isInUse(id: UploadId): boolean;
  /** True if we have the one with this number. */
  holds(id: UploadId, fence: number): boolean;
  /** Forgets the one that no request uses; its file stays where it is. */
  forget(id: UploadId): void;
}

interface Options {
  /** Called when an upload was another core's before, or that of this one's predecessor. */
  onTakenOver?: (() => void) | undefined;
}

export function createPartialUploads(
  driver: StorageDriver,
  { onTakenOver = () => {} }: Options = {},
): PartialUploads {
  const large = createSharedCache<UploadId, PartialUpload>(maxRemembered);
  const smallOnes = createSharedCache<UploadId, PartialUpload>(maxRemembered);
  const inUse = new Map<UploadId, Set<PartialUpload>>();

  const remembered = (id: UploadId) => large.get(id) ?? smallOnes.get(id);

  function remember(session: UploadSession, partial: PartialUpload): void {
    const cache = partial.size < small ? smallOnes : large;
    cache.set(session.id, partyOf(session) ?? 'unknown', partial);
  }

  function forget(id: UploadId): void {
    large.delete(id);
    smallOnes.delete(id);
  }

  async function obtain(lock: SessionLock): Promise<PartialUpload> {
    const { session } = lock;
    const known = remembered(session.id);
    forget(session.id);
    const isOurs = known !== undefined && (await ifPresent(known.assertHeld().then(() => true)));
    if (isOurs) return known;
    // Not from whoever has the lock by now.
    await lock.confirm();
    const held = await takeOver(driver, session);
    if (held.wasHeld) onTakenOver();
    return await PartialUpload.takeOver(driver, held, session);
  }

  function enter(id: UploadId, partial: PartialUpload): Disposable {
    const partials = inUse.get(id) ?? new Set();
    inUse.set(id, partials.add(partial));
    return {
      [Symbol.dispose]() {
        partials.delete(partial);
        if (partials.size === 0) inUse.delete(id);
      },
    };
  }

  return {
    async use(lock, assertWanted, action) {
      const { id } = lock.session;
      const partial = await obtain(lock);
      using _entered = enter(id, partial);
      try {
        await partial.prepare(assertWanted);
        return await action(partial);
      } finally {
        // However it ended: nothing stays open between two requests.
        await partial.close().catch(() => {});
        if (partial.usable) remember(lock.session, partial);
      }
    },
    isInUse: (id) => inUse.has(id),
    holds(id, fence) {
      const ours = [...(inUse.get(id) ?? [])];
      return [remembered(id), ...ours].some((partial) => partial?.fence === fence);
    },
    forget,
  };
}
