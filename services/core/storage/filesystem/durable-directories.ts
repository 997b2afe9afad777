import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { LRUCache } from 'lru-cache';
import type { KnownFolder } from '#libs/files/known-folder.ts';
import { syncFolder } from '#libs/files/sync-folder.ts';
import { atMost } from '#libs/limits/cache-size.ts';

/**
 * Makes directories whose entries survive a power loss. A directory that exists proves nothing: another
 * request may have made it a moment ago without having synced its parent yet, or an upload made it
 * without caring. So each directory's entry is synced once by this process, and whoever needs it
 * meanwhile waits for that.
 */
export class DurableDirectories {
  readonly #root: string;
  readonly #tree: KnownFolder;
  readonly #mode: number;
  readonly #made = new LRUCache<string, Promise<void>>(atMost(20_000));

  /**
   * @param root a directory that exists; nothing above it is touched
   * @param tree one below it, which is not made again
   * @param mode permissions of the directories that are made
   */
  constructor(root: string, tree: KnownFolder, mode: number) {
    this.#root = root;
    this.#tree = tree;
    this.#mode = mode;
  }

  /** Resolves when the directory and all between it and the root are there to stay. */
  async ensure(path: string): Promise<void> {
    if (path === this.#root) return;
    const known = this.#made.get(path);
    if (known !== undefined) return await known;
    const making = this.#make(path);
    this.#made.set(path, making);
    try {
      await making;
    } catch (error) {
      this.#made.delete(path);
      throw error;
    }
  }

  /** To be called when a directory turns out to be gone, or is removed. */
  forget(path: string): void {
    for (let current = path; current.length > this.#root.length; current = dirname(current)) {
      this.#made.delete(current);
    }
  }

  async #make(path: string): Promise<void> {
    const parent = dirname(path);
    await this.ensure(parent);
    const { path: tree, wasThere } = this.#tree;
    const isToBeThere = wasThere && (path === tree || tree.startsWith(`${path}/`));
    try {
      if (!isToBeThere) await mkdir(path, this.#mode);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    await syncFolder(parent);
  }
}
