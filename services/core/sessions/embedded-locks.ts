import type { Held, Locks } from './locks.ts';

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
    for (;;) {
      const next = entry.waiting[0];
      if (next === undefined || !fits(entry, next.alone)) break;
      entry.waiting.shift();
      take(entry, next.alone);
      next.grant();
    }
    if (entry.holders === 0 && entry.waiting.length === 0) entries.delete(key);
  }

  async function acquire(key: string, alone: boolean): Promise<Held> {
    let entry = entries.get(key);
    if (entry === undefined) {
      entry = { holders: 0, waiting: [] };
      entries.set(key, entry);
    }
    const mine = entry;
    if (mine.waiting.length === 0 && fits(mine, alone)) take(mine, alone);
    else await new Promise<void>((grant) => mine.waiting.push({ alone, grant }));
    let held = true;
    return {
      // What is in our own memory, nobody else can take.
      assertHeld() {},
      [Symbol.dispose]() {
        if (!held) return;
        held = false;
        release(key, mine);
      },
    };
  }

  return {
    shared: (key) => acquire(key, false),
    exclusive: (key) => acquire(key, true),
    tryExclusive: async (key) => (entries.has(key) ? undefined : await acquire(key, true)),
    async close() {
      entries.clear();
    },
  };
}
