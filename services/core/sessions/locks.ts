import { letAllArrive } from '#libs/process/let-all-arrive.ts';
import { askFreshly } from './ask-freshly.ts';

/** On whose behalf something is changed, and until when it may be (docs/consistency.md). */
export interface Requester {
  /** Names one attempt to have a request carried out; a gateway that gives it up says so under this name. */
  id: string;
  /** Aborted when nobody waits for the answer any more. */
  signal: AbortSignal;
  /** Who shares with others what is scarce: an account, or without one a network. */
  party?: string;
}

/** Work of the registry's own, which nobody waits for and nobody can give up. */
export const unattended: Requester = { id: '', signal: new AbortController().signal };

/** What a step that others would see depends on. */
export interface Confirmable {
  /**
   * Called directly before the step: looks where the lock is kept, and again where the answer came late.
   * @throws LockLostError, SessionLostError if it may be somebody else's by now
   * @throws RequestGoneError if the request is no longer to be carried out
   */
  confirm(): Promise<void>;
  /** Asks once, where the lock is kept. @throws as `confirm` */
  assertHeld(): Promise<void>;
}

/** A held lock; dispose of it to let go. */
export interface Held extends Confirmable, Disposable {}

/**
 * The port that makes changes to one thing wait for each other. Locks are held while links are checked
 * and written, never while a client's body is on its way. First come, first served: whoever waits for
 * a lock alone is not overtaken by those who would share it.
 */
export interface Locks {
  /**
   * Together with others who share it; nobody who holds a key may ask for the same one again.
   * @throws LockBusyError if it cannot be had in a reasonable time
   * @throws RequestGoneError if the request is given up meanwhile
   */
  shared(key: string, requester?: Requester): Promise<Held>;
  /** Alone. @throws LockBusyError, RequestGoneError */
  exclusive(key: string, requester?: Requester): Promise<Held>;
  /** Alone, if nobody has it or waits for it; undefined otherwise. */
  tryExclusive(key: string): Promise<Held | undefined>;
  close(): Promise<void>;
}

/** The lock is held by others for longer than a request should wait. */
export class LockBusyError extends Error {
  readonly code = 'lock-busy';
}

/** The lock was held for longer than its lease, as by a process that was paused. */
export class LockLostError extends Error {
  readonly code = 'lock-lost';
}

/** Nobody waits for the answer, or whoever did was told that nothing was done. */
export class RequestGoneError extends Error {
  readonly code = 'request-gone';

  /** @param cause what its signal was aborted with; undefined where only Redis knows that it was given up */
  constructor(cause?: unknown) {
    super('the request was given up before it could be carried out', { cause });
  }
}

/** Lets everything arrive that is there already, and looks whether the request is still wanted. @throws RequestGoneError */
export async function confirmWanted({ signal }: Requester): Promise<void> {
  await letAllArrive();
  if (signal.aborted) throw new RequestGoneError(signal.reason);
}

/** Milliseconds in which several must have been looked at: less than any lease. */
const longestAnswer = 4000;

/**
 * Confirms several for one step. Their answers must be of one time: while one lay unread, another may have been lost.
 * @throws as {@link Confirmable.confirm}
 */
export async function confirmTogether(...all: readonly Confirmable[]): Promise<void> {
  const assertHeld = () => Promise.all(all.map((one) => one.assertHeld()));
  await askFreshly(assertHeld, { longest: longestAnswer });
}

/** Locks of several keys; dispose of them to let go of all. */
export interface HeldLocks extends Disposable {
  /** The lock of one of the keys: confirmed for a step that changes what this key is about, and nothing else. */
  of(key: string): Held;
}

/** Locks of several keys, taken in one order so that nobody waits in a circle. */
export async function exclusiveAll(
  locks: Locks,
  keys: readonly string[],
  requester: Requester = unattended,
): Promise<HeldLocks> {
  const held = new Map<string, Held>();
  const release = () => {
    for (const one of [...held.values()].reverse()) one[Symbol.dispose]();
  };
  try {
    for (const key of [...new Set(keys)].sort()) {
      held.set(key, await locks.exclusive(key, requester));
    }
  } catch (error) {
    release();
    throw error;
  }
  return {
    [Symbol.dispose]: release,
    of(key) {
      const one = held.get(key);
      if (one === undefined) throw new Error(`no lock of ${key} is held`);
      return one;
    },
  };
}
