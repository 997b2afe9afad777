import { open, readdir, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Milliseconds to wait for somebody else who has the lock. */
const maxWait = 10_000;
/** Milliseconds after which a lock is nobody's: it is held for a few. */
const stale = 30_000;

/** A lock that several processes agree by, which see one folder. */
export interface FileLock {
  /** False once others may have taken it for nobody's: what it was to guard must begin anew. */
  isHeld(): Promise<boolean>;
  release(): Promise<void>;
}

interface LockFile {
  name: string;
  number: number;
  live: boolean;
}

/**
 * Locks by a file `PATH.lock.N` that only one can make (O_EXCL), N being one more than the highest there is. Who has
 * made it looks again: if there is another that is not stale, it gives way, whatever its number. A stale one is
 * superseded by the next number and never removed by others: between the look at a file and its removal
 * another may have come in its place. Each removes its own only.
 * @throws Error if somebody else holds it for 10 s; what the folder says that cannot be written
 */
export async function lockFile(path: string): Promise<FileLock> {
  const deadline = performance.now() + maxWait;
  const [folder, prefix] = [dirname(path), `${basename(path)}.lock.`];
  for (;;) {
    const there = await lockFiles(folder, prefix);
    const holder = there.find(({ live }) => live);
    if (holder === undefined) {
      const number = Math.max(0, ...there.map((one) => one.number)) + 1;
      const name = `${prefix}${number}`;
      if (await create(join(folder, name))) {
        const lock = held(folder, prefix, name);
        if (await lock.isHeld()) return lock;
        await lock.release();
      }
    }
    if (performance.now() > deadline) {
      const name = holder === undefined ? `${prefix}*` : holder.name;
      throw new Error(
        `the file is locked by another process; if that is not so, remove ${join(folder, name)}`,
      );
    }
    // Two that gave way to each other are not to meet again.
    await sleep(5 + Math.random() * 20);
  }
}

function held(folder: string, prefix: string, name: string): FileLock {
  const since = performance.now();
  return {
    async isHeld() {
      // Half of the time: what the clocks of two machines differ is in the other half.
      if (performance.now() - since > stale / 2) return false;
      const there = await lockFiles(folder, prefix);
      return there.every((one) => one.name === name || !one.live);
    },
    release: () => rm(join(folder, name), { force: true }),
  };
}

async function create(path: string): Promise<boolean> {
  try {
    await (await open(path, 'wx', 0o600)).close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function lockFiles(folder: string, prefix: string): Promise<LockFile[]> {
  const names = (await readdir(folder)).filter((name) => name.startsWith(prefix));
  const found: LockFile[] = [];
  for (const name of names) {
    const number = Number(name.slice(prefix.length));
    const state = await stat(join(folder, name)).catch(() => undefined);
    if (!Number.isSafeInteger(number) || state === undefined) continue;
    // Of a time to come it is from before the clock was set back, and nobody renews it.
    found.push({ name, number, live: Math.abs(Date.now() - state.mtimeMs) <= stale });
  }
  return found;
}
