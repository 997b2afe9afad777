import { LRUCache } from 'lru-cache';
import type { BudgetState } from '#libs/limits/budget.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import type { UploadSession } from '../../sessions/session-store.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import { inParallel } from '../in-parallel.ts';
import { createOpenUploads, type OpenUpload, type UploadOwner } from './open-uploads.ts';
import type { UploadKey } from './session-access.ts';
import { recoverSession } from './upload-folder.ts';
import type { UploadService } from './upload-service.ts';
import { walkUploads } from './walk-uploads.ts';

/** Seconds after which one of the uploads may have ended. */
const retryAfter = 60;

/** Milliseconds between two counts of what one account has: they cost something, and whoever has most asks most. */
const recountEvery = 10_000;

/**
 * The same uploads, of which one account, and anonymous clients of one repository or network, may have so many open. Each core counts those that
 * were begun at it, and those that it found when it was started.
 */
export interface LimitedUploads extends UploadService {
  readonly limit: UploadLimit;
  /** As {@link UploadService.start}. @throws RegistryError TOOMANYREQUESTS */
  start(...about: Parameters<UploadService['start']>): Promise<UploadSession>;
  /** Counts what the tree holds from before this core was started, or from other cores. */
  census(signal?: AbortSignal): Promise<void>;
  /**
   * Ends those that got no byte within the time, which stand in nobody's way any more.
   * @param age milliseconds
   * @returns how many
   */
  expireEmpty(age: number): Promise<number>;
}

/** How much of it is taken; see {@link BudgetState}. */
export interface UploadLimit extends BudgetState {
  readonly name: 'uploads';
}

interface Dependencies {
  driver: StorageDriver;
  uploads: UploadService;
  /** Uploads without a byte; ten times as many with. */
  maxOpenUploads: number;
  now?: () => number;
}

export function limitUploads({
  driver,
  uploads,
  maxOpenUploads,
  now = Date.now,
}: Dependencies): LimitedUploads {
  const open = createOpenUploads(maxOpenUploads);
  let refused = 0;
  /** By what is full: an account, a network, a repository. */
  const recounts = new LRUCache<string, { at: number; isRunning: boolean; done: Promise<void> }>({
    max: 1000,
  });

  /** Looks what became of an upload: it may have gone on, or ended, at another core. */
  async function look(upload: OpenUpload): Promise<void> {
    try {
      const { offset } = await uploads.find(upload);
      if (offset > 0) open.fill(upload.id);
    } catch (error) {
      if (!isGone(error)) throw error;
      open.remove(upload.id);
    }
  }

  async function lookAtAll(some: readonly OpenUpload[]): Promise<void> {
    await inParallel(some, { atOnce: 8 }, async (upload) => {
      await look(upload);
      return true;
    });
  }

  /** Looks what became of those that fill something, unless that was done a moment ago. */
  async function recount(full: string): Promise<void> {
    const before = recounts.get(full);
    if (before !== undefined && (before.isRunning || now() - before.at < recountEvery)) {
      await before.done;
      return;
    }
    const recount = { at: now(), isRunning: true, done: lookAtAll(open.in(full)) };
    recounts.set(full, recount);
    try {
      await recount.done;
    } catch (error) {
      // The next one may find the storage well.
      recounts.delete(full);
      throw error;
    } finally {
      recount.isRunning = false;
    }
  }

  /** Taken before anything is begun: many may be asked for at once. */
  async function reserve(owner: UploadOwner): Promise<Disposable | undefined> {
    const place = open.reserve(owner);
    if (place !== undefined) return place;
    for (const full of open.fullFor(owner)) await recount(full);
    return open.reserve(owner);
  }

  /** Notes what an action that failed left of an upload. */
  async function following<T>(key: UploadKey, action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      if (isGone(error)) open.remove(key.id);
      else if (open.has(key.id)) await look({ ...key, startedAt: 0, empty: true }).catch(() => {});
      throw error;
    }
  }

  return {
    ...uploads,

    limit: {
      name: 'uploads',
      capacity: maxOpenUploads,
      get used() {
        return open.most();
      },
      waiting: 0,
      get refused() {
        return refused;
      },
    },

    async start(repository, subject, algorithm, network) {
      const owner = { repository, subject, network };
      using place = await reserve(owner);
      if (place === undefined) {
        refused += 1;
        throw new RegistryError('TOOMANYREQUESTS', {
          message:
            'too many uploads are open that were begun and not finished; finish them, or try again when they have expired',
          retryAfter,
        });
      }
      const session = await uploads.start(repository, subject, algorithm, network);
      const startedAt = session.startedAt.getTime();
      open.add({ ...owner, id: session.id, startedAt, empty: true });
      return session;
    },

    append: (key, chunk, requester) =>
      following(key, async () => {
        const offset = await uploads.append(key, chunk, requester);
        if (offset > 0) open.fill(key.id);
        return offset;
      }),

    complete: (key, digest, chunk, requester) =>
      following(key, async () => {
        await uploads.complete(key, digest, chunk, requester);
        open.remove(key.id);
      }),

    cancel: (key, requester) =>
      following(key, async () => {
        await uploads.cancel(key, requester);
        open.remove(key.id);
      }),

    async purge(openedBefore, options) {
      const ended = await uploads.purge(openedBefore, options);
      if (!options.dryRun) {
        // One that is in use stays.
        await lookAtAll(open.before(openedBefore.getTime()));
      }
      return ended;
    },

    async census(signal) {
      for await (const { repository, id } of walkUploads(driver)) {
        signal?.throwIfAborted();
        if (open.has(id)) continue;
        // One that cannot be read now is counted when it goes on.
        const session = await recoverSession(driver, repository, id).catch(() => undefined);
        // What another registry began is its own purge's, and ours in the end.
        if (session === undefined) continue;
        const { subject, network, startedAt, offset } = session;
        const empty = offset === 0;
        open.add({ id, repository, subject, network, startedAt: startedAt.getTime(), empty });
      }
    },

    async expireEmpty(age) {
      let ended = 0;
      const failures: unknown[] = [];
      for (const upload of open.before(now() - age)) {
        if (!upload.empty) continue;
        try {
          if (!(await uploads.endIfEmpty(upload))) {
            // Somebody is at it, or it has bytes.
            await look(upload);
            continue;
          }
          ended += 1;
          open.remove(upload.id);
        } catch (error) {
          // Somebody is at it, or it is gone already, or it cannot be read, which keeps no other one.
          if (!(error instanceof RegistryError)) failures.push(error);
          else if (isGone(error)) open.remove(upload.id);
        }
      }
      if (failures.length > 0) throw failures[0];
      return ended;
    },
  };
}

function isGone(error: unknown): boolean {
  return error instanceof RegistryError && error.code === 'BLOB_UPLOAD_UNKNOWN';
}
