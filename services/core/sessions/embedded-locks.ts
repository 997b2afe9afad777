import {
  confirmWanted,
  type Held,
  type Locks,
  type Requester,
  RequestGoneError,
  unattended,
} from './locks.ts';

interface Waiter {
  alone: boolean;
  grant: () => void;
}

interface Entry {
  /** How many hold it; -1 for one who holds it alone. */
  holders: number;
  waiting: Waiter[];
}

/** Locks in memory, for a core that is alone with its storage. */
export function createEmbeddedLocks(): Locks {
  const entries = new Map<string, Entry>();

  const fits = (entry: Entry, alone: boolean) => (alone ? entry.holders === 0 : entry.holders >= 0);

  function take(entry: Entry, alone: boolean): void {
    entry.holders = alone ? -1 : entry.holders + 1;
  }

  function release(key: string, entry: Entry): void {
    entry.holders = entry.holders === -1 ? 0 : entry.holders - 1;
    grantNext(key, entry);
  }

  function grantNext(key: string, entry: Entry): void {
    for (;;) {
      const next = entry.waiting[0];
      if (next === undefined || !fits(entry, next.alone)) break;
      entry.waiting.shift();
      take(entry, next.alone);
      next.grant();
    }
    if (entry.holders === 0 && entry.waiting.length === 0) entries.delete(key);
  }

  /** Resolves when it is granted. @throws RequestGoneError */
  async function wait(
    key: string,
    entry: Entry,
    alone: boolean,
    signal: AbortSignal,
  ): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const leave = () => {
        entry.waiting = entry.waiting.filter((one) => one !== waiter);
        // Whoever stood behind it may be next.
        grantNext(key, entry);
        reject(new RequestGoneError(signal.reason));
      };
      const waiter: Waiter = {
        alone,
        grant() {
          signal.removeEventListener('abort', leave);
          resolve();
        },
      };
      entry.waiting.push(waiter);
      signal.addEventListener('abort', leave, { once: true });
      if (signal.aborted) leave();
    });
  }

  async function acquire(key: string, alone: boolean, requester: Requester): Promise<Held> {
    let entry = entries.get(key);
    if (entry === undefined) {
      entry = { holders: 0, waiting: [] };
      entries.set(key, entry);
    }
    const mine = entry;
    if (mine.waiting.length === 0 && fits(mine, alone)) take(mine, alone);
    else await wait(key, mine, alone, requester.signal);
    let held = true;
    return {
      // What is in our own memory, nobody else can take; whose the tree is, its storage asks.
      confirm: () => confirmWanted(requester),
      assertHeld: () => confirmWanted(requester),
      [Symbol.dispose]() {
        if (!held) return;
        held = false;
        release(key, mine);
      },
    };
  }

  return {
    shared: (key, requester = unattended) => acquire(key, false, requester),
    exclusive: (key, requester = unattended) => acquire(key, true, requester),
    tryExclusive: async (key) =>
      entries.has(key) ? undefined : await acquire(key, true, unattended),
    async close() {
      entries.clear();
    },
  };
}
