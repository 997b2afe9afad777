/** A held lock; dispose of it to let go. */
export type Held = Disposable;

/**
 * The port that makes changes to one thing wait for each other. Locks are held while links are checked
 * and written, never while a client's body is on its way. First come, first served: whoever waits for
 * a lock alone is not overtaken by those who would share it.
 */
export interface Locks {
  /** Together with others who share it; nobody who holds a key may ask for the same one again. */
  shared(key: string): Promise<Held>;
  /** Alone. */
  exclusive(key: string): Promise<Held>;
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
  return { [Symbol.dispose]: release };
}
