import { statSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * A folder that is not made again once it was there: its filesystem may not be mounted, and all would be written beside it. As
 * long as it was not there, each question looks again.
 */
export class KnownFolder {
  readonly path: string;
  #wasThere = false;
  /** Of the filesystem that it was on; undefined where it was not looked at. */
  #device: number | undefined;
  /** Those of other filesystems on which the way to it lies: what is there now may lie below a place to mount at. */
  readonly #above = new Set<number>();
  readonly #seen = Promise.withResolvers<void>();

  /** @param wasThere what is known of it from before */
  constructor(path: string, wasThere = false) {
    this.path = path;
    if (!this.#look() && wasThere) this.#see();
  }

  /** Resolves when it is known that it was there. */
  get seen(): Promise<void> {
    return this.#seen.promise;
  }

  /** Whether it was there at any time. */
  get wasThere(): boolean {
    return this.#wasThere || this.#look();
  }

  /** Whether it was there, and is not: also where something else is in its place since its filesystem was unmounted. */
  async isGone(): Promise<boolean> {
    if (!this.wasThere) return false;
    try {
      const found = await stat(this.path);
      const isBelow = found.dev !== this.#device && this.#above.has(found.dev);
      return !found.isDirectory() || isBelow;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') return true;
      throw error;
    }
  }

  #look(): boolean {
    const device = deviceOf(this.path);
    if (device === undefined) return false;
    this.#device = device;
    for (let place = this.path; place !== dirname(place); place = dirname(place)) {
      const above = deviceOf(dirname(place));
      if (above !== undefined && above !== device) this.#above.add(above);
    }
    this.#see();
    return true;
  }

  #see(): void {
    this.#wasThere = true;
    this.#seen.resolve();
  }
}

function deviceOf(path: string): number | undefined {
  try {
    return statSync(path).dev;
  } catch {
    return undefined;
  }
}
