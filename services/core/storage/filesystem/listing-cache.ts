import type { BigIntStats } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { LRUCache } from 'lru-cache';

/** Smaller directories are read faster than they are looked up. */
const smallest = 64;

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

  /** @param names how many names are kept in all */
  constructor(names = 500_000) {
    this.#listings = new LRUCache({
      maxSize: names,
      sizeCalculation: (listing) => listing.names.length + 1,
    });
  }

  /** All names of a directory, in byte order. @throws ErrnoException as readdir does */
  async names(path: string): Promise<readonly string[]> {
    const known = this.#listings.get(path);
    const before = known === undefined ? undefined : await stat(path, { bigint: true });
    if (known !== undefined && before !== undefined && isSame(known, before)) return known.names;
    return await this.#read(path);
  }

  async #read(path: string): Promise<readonly string[]> {
    const names = await readdir(path);
    names.sort();
    if (names.length < smallest) {
      this.#listings.delete(path);
      return names;
    }
    // Taken after the read: what changed during it shows as a time that is not settled.
    const { ino: inode, mtimeNs: modified, ctimeNs: changed } = await stat(path, { bigint: true });
    const now = BigInt(Date.now()) * 1_000_000n;
    if (now - modified > settled) this.#listings.set(path, { inode, modified, changed, names });
    else this.#listings.delete(path);
    return names;
  }
}

function isSame({ inode, modified, changed }: Listing, stats: BigIntStats): boolean {
  return inode === stats.ino && modified === stats.mtimeNs && changed === stats.ctimeNs;
}

/** At most `limit` of the sorted names that come after `after`. */
export function pageOf(names: readonly string[], after: string, limit: number): string[] {
  let [low, high] = [0, names.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((names[middle] ?? '') <= after) low = middle + 1;
    else high = middle;
  }
  return names.slice(low, low + Math.min(limit, names.length));
}
