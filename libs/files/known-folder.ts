import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';

/**
 * A folder that is not made again once it was there: its filesystem may not be mounted, and all would be written beside it. As
 * long as it was not there, each question looks again.
 */
export class KnownFolder {
  readonly path: string;
  #wasThere = false;
  readonly #seen = Promise.withResolvers<void>();

  /** @param wasThere what is known of it from before */
  constructor(path: string, wasThere = false) {
    this.path = path;
    if (wasThere || existsSync(path)) this.#see();
  }

  /** Resolves when it is known that it was there. */
  get seen(): Promise<void> {
    return this.#seen.promise;
  }

  /** Whether it was there at any time. */
  get wasThere(): boolean {
    if (!this.#wasThere && existsSync(this.path)) this.#see();
    return this.#wasThere;
  }

  /** Whether it was there, and is not. @throws the system's error if that cannot be told */
  async isGone(): Promise<boolean> {
    if (!this.wasThere) return false;
    try {
      return !(await stat(this.path)).isDirectory();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') return true;
      throw error;
    }
  }

  #see(): void {
    this.#wasThere = true;
    this.#seen.resolve();
  }
}
