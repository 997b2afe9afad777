import type { UploadId } from '#libs/oci/upload-id.ts';
import {
  type AcquireOptions,
  SessionBusyError,
  type SessionLock,
  SessionLostError,
  type SessionStore,
  type UploadSession,
} from './session-store.ts';

interface Entry {
  session: UploadSession;
  /** Set while somebody holds the lock. */
  held: { requestRelease: () => void } | undefined;
  /** Those who wait for it, first come first served. */
  waiting: (() => void)[];
}

export interface EmbeddedOptions {
  /** Milliseconds a holder has to let go. */
  drainPeriod?: number;
}

/** Sessions in memory, for a core that is alone with its storage. */
export function createEmbeddedSessionStore({
  drainPeriod = 10_000,
}: EmbeddedOptions = {}): SessionStore {
  const entries = new Map<UploadId, Entry>();

  /** Resolves when the caller holds the lock of this entry. */
  async function enter(entry: Entry): Promise<void> {
    if (entry.held === undefined && entry.waiting.length === 0) return;
    entry.held?.requestRelease();
    await new Promise<void>((resolve, reject) => {
      const turn = () => {
        clearTimeout(timer);
        resolve();
      };
      const timer = setTimeout(() => {
        entry.waiting = entry.waiting.filter((waiter) => waiter !== turn);
        reject(new SessionBusyError('the upload is in use by another request'));
      }, drainPeriod);
      entry.waiting.push(turn);
    });
  }

  function leave(entry: Entry): void {
    entry.held = undefined;
    entry.waiting.shift()?.();
  }

  return {
    async create(session) {
      if (!entries.has(session.id)) {
        entries.set(session.id, { session, held: undefined, waiting: [] });
      }
    },

    async read(id) {
      return entries.get(id)?.session;
    },

    async acquire(id, { holder, seenFence, onReleaseRequested }: AcquireOptions) {
      const entry = entries.get(id);
      if (entry === undefined) return undefined;
      await enter(entry);
      if (entries.get(id) !== entry) {
        leave(entry);
        return undefined;
      }
      const mine = { requestRelease: onReleaseRequested };
      entry.held = mine;
      // Whoever queued while the turn passed on wants it from us now.
      if (entry.waiting.length > 0) queueMicrotask(onReleaseRequested);
      const takenOver = entry.session.holder !== holder;
      if (takenOver) {
        const fence = Math.max(entry.session.fence, seenFence) + 1;
        entry.session = { ...entry.session, holder, fence };
      }
      const assertMine = () => {
        if (entry.held !== mine || entries.get(id) !== entry) {
          throw new SessionLostError('the upload is no longer held by this request');
        }
      };
      const lock: SessionLock = {
        get session() {
          return entry.session;
        },
        takenOver,
        async update(progress) {
          assertMine();
          entry.session = { ...entry.session, ...progress };
        },
        async remove() {
          assertMine();
          entries.delete(id);
        },
        async [Symbol.asyncDispose]() {
          if (entry.held === mine) leave(entry);
        },
      };
      return lock;
    },

    async close() {
      entries.clear();
    },
  };
}
