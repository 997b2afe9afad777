import type { UploadId } from '#libs/oci/upload-id.ts';
import { confirmWanted, RequestGoneError } from './locks.ts';
import {
  type AcquireOptions,
  SessionBusyError,
  type SessionLock,
  SessionLostError,
  type SessionStore,
  type UploadSession,
} from './session-store.ts';

/** One who holds the lock, or waits for it. */
interface LockRequest {
  requestRelease: () => void;
}

interface Entry {
  session: UploadSession;
  /** Passed on without a gap, so that nobody slips in between two holders. */
  held: LockRequest | undefined;
  /** Those who wait, first come first served. */
  waiting: { turn: LockRequest; grant: () => void }[];
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

  /** Resolves when the lock of this entry is the caller's. */
  async function enter(entry: Entry, turn: LockRequest, signal: AbortSignal): Promise<void> {
    if (entry.held === undefined) {
      entry.held = turn;
      return;
    }
    entry.held.requestRelease();
    await new Promise<void>((resolve, reject) => {
      const leave = (why: Error) => {
        stopWaiting();
        entry.waiting = entry.waiting.filter((waiter) => waiter.turn !== turn);
        reject(why);
      };
      const onGone = () => leave(new RequestGoneError(signal.reason));
      const timer = setTimeout(() => {
        leave(new SessionBusyError('the upload is in use by another request'));
      }, drainPeriod);
      const stopWaiting = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', onGone);
      };
      const grant = () => {
        stopWaiting();
        resolve();
      };
      entry.waiting.push({ turn, grant });
      signal.addEventListener('abort', onGone);
      if (signal.aborted) onGone();
    });
  }

  function leave(entry: Entry): void {
    const next = entry.waiting.shift();
    entry.held = next?.turn;
    next?.grant();
    // Whoever still waits wants it from the next one.
    if (entry.waiting.length > 0) next?.turn.requestRelease();
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

    async acquire(id, { requester, onReleaseRequested }: AcquireOptions) {
      const entry = entries.get(id);
      if (entry === undefined) return undefined;
      const mine: LockRequest = { requestRelease: onReleaseRequested };
      await enter(entry, mine, requester.signal);
      if (entries.get(id) !== entry) {
        leave(entry);
        return undefined;
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
        async assertHeld() {
          await confirmWanted(requester);
          assertMine();
        },
        confirm: () => lock.assertHeld(),
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
