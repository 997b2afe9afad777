import { statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/** What is known of a folder that was there. */
export interface SeenFolder {
  /** How many filesystems are mounted on the way to it; with one less, what is there lies below a place to mount at. */
  mounts: number;
}

/**
 * A folder that is not made again once it was there: its filesystem may not be mounted, and all would be written beside it. As
 * long as it was not there, each question looks again. What is mounted from another folder of the same filesystem cannot be told
 * from what it hides.
 */
export class KnownFolder {
  readonly path: string;
  #mounts: number | undefined;
  /** Of the filesystem that it was on when it was looked at last. */
  #device: number | undefined;
  readonly #followers: ((seen: SeenFolder) => void)[] = [];

  /** @param before what a process saw that was there before this one */
  constructor(path: string, before?: SeenFolder) {
    this.path = path;
    const device = deviceOf(path);
    const mounts = device === undefined ? undefined : countMounts(path, device);
    if (before === undefined && mounts === undefined) return;
    const known = Math.max(before?.mounts ?? 0, mounts ?? 0);
    // Of one that lies below the place to mount at nothing is learned.
    if (mounts === known) this.#device = device;
    this.#see(known);
  }

  /** What is known of it; undefined as long as it was not there. */
  get seen(): SeenFolder | undefined {
    return this.#mounts === undefined ? undefined : { mounts: this.#mounts };
  }

  /** Has a listener be told what is known: now, where it was there, and whenever more is known. */
  follow(listener: (seen: SeenFolder) => void): void {
    this.#followers.push(listener);
    if (this.seen !== undefined) listener(this.seen);
  }

  /** Whether it was there at any time. */
  get wasThere(): boolean {
    return this.#mounts !== undefined || this.#look();
  }

  /**
   * Whether it is on the device where it was seen last: by a look that waits for the filesystem, which is for those of this machine
   * alone. False says nothing: ask {@link isGone}.
   */
  isWhereItWas(): boolean {
    return this.#device !== undefined && deviceOf(this.path) === this.#device;
  }

  /** Whether it was there, and is not: also where something else is in its place since its filesystem was unmounted. */
  async isGone(): Promise<boolean> {
    if (!this.wasThere) return false;
    try {
      const found = await stat(this.path);
      if (!found.isDirectory()) return true;
      if (found.dev === this.#device) return false;
      const mounts = countMounts(this.path, found.dev);
      if (mounts < (this.#mounts ?? 0)) return true;
      // One that was mounted since is missed as well when it goes.
      this.#device = found.dev;
      this.#see(mounts);
      return false;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') return true;
      throw error;
    }
  }

  /** Whether it is gone, by the device of a file that was just made below it: looks no further where that is its own. */
  async isGoneFrom(device: number): Promise<boolean> {
    return device !== this.#device && (await this.isGone());
  }

  #look(): boolean {
    const device = deviceOf(this.path);
    if (device === undefined) return false;
    this.#device = device;
    this.#see(countMounts(this.path, device));
    return true;
  }

  #see(mounts: number): void {
    if (mounts === this.#mounts) return;
    this.#mounts = mounts;
    for (const listener of this.#followers) listener({ mounts });
  }
}

/** How many filesystems are mounted between / and a folder on a device. */
function countMounts(path: string, device: number): number {
  let [count, below] = [0, device];
  for (let place = path; place !== dirname(place); place = dirname(place)) {
    const above = deviceOf(dirname(place)) ?? below;
    if (above !== below) count += 1;
    below = above;
  }
  return count;
}

function deviceOf(path: string): number | undefined {
  try {
    return statSync(path).dev;
  } catch {
    return undefined;
  }
}
