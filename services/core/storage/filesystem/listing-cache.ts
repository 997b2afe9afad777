import type { BigIntStats } from 'node:fs';
import { opendir, readdir, stat } from 'node:fs/promises';
import { LRUCache } from 'lru-cache';
import { atMost } from '#libs/limits/cache-size.ts';
import { firstBehind } from '../first-behind.ts';
import { sortInTurn } from './sort-in-turn.ts';

/** Smaller directories are read faster than they are looked up. */
const smallest = 64;

/** Bytes from which on a directory may have so many names that they are read one directory at a time. */
const large = 1024n * 1024n;

/** A directory that changed so lately may change again without showing another time. In ns. */
const settled = 2_000_000_000n;

interface Listing {
  inode: bigint;
  modified: bigint;
  /** Cannot be set by anybody, so it tells a directory from a later one in its place. */
  changed: bigint;
  names: readonly string[];
}

/**
 * Sorted names of large directories, so that a page costs what the page has, not what the directory
 * has. Nothing to keep in step: a listing counts only while the directory itself says that it has not
 * changed, whoever changes it. A directory's time tells only of names that come or go, which is all that
 * a listing is about.
 */
export class ListingCache {
  readonly #listings: LRUCache<string, Listing>;
  /** The read of a directory that goes on, and the one that begins when it ends. */
  readonly #running = new Map<string, Promise<readonly string[]>>();
  readonly #next = new Map<string, Promise<readonly string[]>>();
  /** Directories that had few names when they were read last. */
  readonly #small = new LRUCache<string, true>(atMost(10_000));
  /** Directories that had more names than are kept. */
  readonly #huge = new LRUCache<string, true>({ max: 1000 });
  /** Settled when no large directory is being read. */
  #largeRead: Promise<void> = Promise.resolve();

  readonly #names: number;
  readonly #readNames: (path: string) => Promise<string[]>;

  /**
   * @param names how many names are kept in all
   * @param readNames reads those of a directory
   */
  constructor(names = 500_000, readNames = (path: string) => readdir(path)) {
    this.#names = names;
    this.#readNames = readNames;
    this.#listings = new LRUCache({
      maxSize: names,
      sizeCalculation: (listing) => sizeOf(listing),
    });
  }

  /** All names of a directory, in byte order. @throws ErrnoException as readdir does */
  async names(path: string): Promise<readonly string[]> {
    const known = this.#listings.get(path);
    const before = known === undefined ? undefined : await stat(path, { bigint: true });
    if (known !== undefined && before !== undefined && isSame(known, before)) return known.names;
    return await this.#readTogether(path);
  }

  /** At most `limit` of the names of a directory that come after `after`, in byte order. @throws ErrnoException as readdir does */
  async page(path: string, after: string, limit: number): Promise<string[]> {
    if (limit === Infinity || this.#huge.get(path) !== true) {
      return pageOf(await this.names(path), after, limit);
    }
    return await this.#inTurn(() => selectPage(path, after, limit));
  }

  /**
   * A directory is read by one at a time. Whoever asks meanwhile needs a read that begins later, and shares it with all
   * others who do: a large directory that changes all the time is read as often for many as for two.
   */
  #readTogether(path: string): Promise<readonly string[]> {
    const running = this.#running.get(path);
    if (running === undefined) return this.#begin(path);
    const known = this.#next.get(path);
    if (known !== undefined) return known;
    const next = running
      .catch(() => {})
      .then(() => {
        this.#next.delete(path);
        return this.#begin(path);
      });
    this.#next.set(path, next);
    return next;
  }

  #begin(path: string): Promise<readonly string[]> {
    const reading = this.#readAlone(path).finally(() => {
      if (this.#running.get(path) === reading) this.#running.delete(path);
    });
    this.#running.set(path, reading);
    return reading;
  }

  /** Names of large directories take memory until they are with whoever asked: so one is read after the other. */
  async #readAlone(path: string): Promise<readonly string[]> {
    if (this.#small.get(path) === true || !(await isLarge(path))) return await this.#read(path);
    return await this.#inTurn(() => this.#read(path));
  }

  async #inTurn<T>(read: () => Promise<T>): Promise<T> {
    const reading = this.#largeRead.then(read);
    // Its end only: the names are not to stay for those who wait.
    this.#largeRead = reading.then(
      () => {},
      () => {},
    );
    return await reading;
  }

  async #read(path: string): Promise<readonly string[]> {
    const names = await sortInTurn(await this.#readNames(path));
    if (names.length < smallest) {
      this.#small.set(path, true);
      this.#listings.delete(path);
      return names;
    }
    this.#small.delete(path);
    if (sizeOf({ names }) > this.#names) this.#huge.set(path, true);
    else this.#huge.delete(path);
    // Taken after the read: what changed during it shows as a time that is not settled.
    const { ino: inode, mtimeNs: modified, ctimeNs: changed } = await stat(path, { bigint: true });
    const now = BigInt(Date.now()) * 1_000_000n;
    if (now - modified > settled) this.#listings.set(path, { inode, modified, changed, names });
    else this.#listings.delete(path);
    return names;
  }
}

/** What a listing counts for: its names, and itself. */
function sizeOf({ names }: { names: readonly string[] }): number {
  return names.length + 1;
}

/** Filesystems tell the bytes of a directory, or how many names it has; the blocks are those of either. */
async function isLarge(path: string): Promise<boolean> {
  const { size, blocks } = await stat(path, { bigint: true });
  return size >= large || blocks * 512n >= large;
}

function isSame({ inode, modified, changed }: Listing, stats: BigIntStats): boolean {
  return inode === stats.ino && modified === stats.mtimeNs && changed === stats.ctimeNs;
}

/** At most `limit` of the sorted names that come after `after`. */
export function pageOf(names: readonly string[], after: string, limit: number): string[] {
  const first = firstBehind(names, after);
  return names.slice(first, first + Math.min(limit, names.length));
}

/** Names that are looked at in one turn of the event loop, at least. */
const atOnce = 4096;

/** A page of a directory of which not all names are to be in memory at once. */
async function selectPage(path: string, after: string, limit: number): Promise<string[]> {
  let first: string[] = [];
  let last: string | undefined;
  const cut = () => {
    first.sort();
    first = first.slice(0, limit);
    last = first.length === limit ? first.at(-1) : undefined;
  };
  for await (const { name } of await opendir(path, { bufferSize: atOnce })) {
    if (name <= after || (last !== undefined && name >= last)) continue;
    first.push(name);
    if (first.length >= 2 * limit + atOnce) cut();
  }
  cut();
  return first;
}
