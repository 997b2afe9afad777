/** A held lock; dispose of it to let go. */
export interface Held extends Disposable {
  /**
   * Called before a step that others would see.
   * @throws LockLostError if the lock may be somebody else's by now
   */
  assertHeld(): void;
}

/**
 * The port that makes changes to one thing wait for each other. Locks are held while links are checked
 * and written, never while a client's body is on its way. First come, first served: whoever waits for
 * a lock alone is not overtaken by those who would share it.
 */
export interface Locks {
  /**
   * Together with others who share it; nobody who holds a key may ask for the same one again.
   * @throws LockBusyError if it cannot be had in a reasonable time
   */
  shared(key: string): Promise<Held>;
  /** Alone. @throws LockBusyError */
  exclusive(key: string): Promise<Held>;
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

/** Locks of several keys, taken in one order so that nobody waits in a circle. */
export async function exclusiveAll(locks: Locks, keys: readonly string[]): Promise<Held> {
  const held: Held[] = [];
  const release = () => {
    for (const one of held.reverse()) one[Symbol.dispose]();
  };
  try {
    for (const key of [...new Set(keys)].sort()) held.push(await locks.exclusive(key));
  } catch (error) {
    release();
    throw error;
  }
  return {
    [Symbol.dispose]: release,
    assertHeld() {
      for (const one of held) one.assertHeld();
    },
  };
}
