import { randomUUID } from 'node:crypto';
import { type BigIntStats, constants, type Stats } from 'node:fs';
import { open, readFile, rename, rm, stat, unlink, utimes } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { isSameState, stateOf } from '#libs/files/file-state.ts';
import { KnownFolder, type SeenFolder } from '#libs/files/known-folder.ts';
import { FolderGoneError } from '#libs/files/make-folders.ts';
import type { ReadableFile } from '#libs/files/readable-file.ts';
import { syncFolder } from '#libs/files/sync-folder.ts';
import { treeFolder } from '#libs/values/storage-tree.ts';
import {
  type MoveOptions,
  type ReadOptions,
  type ReadRange,
  type SawFile,
  type StorageDriver,
  StorageError,
  type StorageInfo,
  type StoragePath,
  type StorageWriter,
  type VisibleStep,
} from '../driver.ts';
import { appending, createFile, creating } from './create-file.ts';
import { DurableDirectories } from './durable-directories.ts';
import { confirmStep, guard } from './errors.ts';
import { ListingCache } from './listing-cache.ts';
import { belongsToThisMachine } from './local-filesystem.ts';
import { placeFile, renameOver, renameToNew } from './place-file.ts';
import { pruneDirectory } from './prune-directory.ts';
import {
  clearTemporaryFolder,
  type Modes,
  modesOf,
  prepareFolders,
  temporaryFolder,
} from './root-folder.ts';
import { FilesystemWriter } from './writer.ts';

/** Bytes read at a time when a file is sent. */
const readSize = 1024 * 1024;

/**
 * Opens a tree on a local or shared filesystem.
 * @param root the folder that distribution calls `rootdirectory`; created if absent
 * @param before what a process saw of the tree that was there before this one
 * @param readOnly nothing will be written, so the folder need not be writable; what would is refused
 * @throws Error with one clear sentence if it cannot be written to
 */
export async function createFilesystemDriver(
  root: string,
  { readOnly = false, before }: { readOnly?: boolean; before?: SeenFolder | undefined } = {},
): Promise<StorageDriver> {
  const tree = new KnownFolder(join(resolve(root), treeFolder), before);
  if (!readOnly && (await tree.isGone())) throw new FolderGoneError(tree.path);
  const modes = await modesOf(root);
  if (!readOnly) await prepareFolders(root, modes);
  const isLocal = await belongsToThisMachine(root);
  return new FilesystemDriver(root, { tree, modes, readOnly, isLocal });
}

interface DriverOptions {
  tree: KnownFolder;
  modes: Modes;
  readOnly: boolean;
  /** Whether the filesystem is this machine's own. */
  isLocal: boolean;
}

class FilesystemDriver implements StorageDriver {
  readonly name = 'filesystem';
  readonly tree: KnownFolder;
  readonly #root: string;
  readonly #modes: Modes;
  readonly #readOnly: boolean;
  readonly #isLocal: boolean;
  readonly #directories: DurableDirectories;
  readonly #listings = new ListingCache();

  constructor(root: string, { tree, modes, readOnly, isLocal }: DriverOptions) {
    this.#root = resolve(root);
    this.tree = tree;
    this.#modes = modes;
    this.#readOnly = readOnly;
    this.#isLocal = isLocal;
    this.#directories = new DurableDirectories(this.#root, tree, modes.folder);
  }

  get #making() {
    return { modes: this.#modes, tree: this.tree };
  }

  get #placing() {
    return { ...this.#making, directories: this.#directories };
  }

  #at(path: StoragePath): string {
    return join(this.#root, path);
  }

  /** Where something may be changed. @throws StorageError read-only */
  #toChange(path: StoragePath): string {
    if (this.#readOnly) throw new StorageError('read-only', path);
    return this.#at(path);
  }

  /** Before a change of what is there; what is made is looked at itself. @throws FolderGoneError */
  async #assertThere(): Promise<void> {
    if (this.#isLocal && this.tree.isWhereItWas()) return;
    if (await this.tree.isGone()) throw new FolderGoneError(this.tree.path);
  }

  async stat(path: StoragePath, saw?: SawFile): Promise<StorageInfo> {
    if (saw === undefined) return describe(await guard(path, () => stat(this.#at(path))));
    const at = Date.now();
    const found = await guard(path, () => stat(this.#at(path), { bigint: true }));
    saw(path, stateOf(found), at);
    return describe(found);
  }

  async read(
    path: StoragePath,
    range?: ReadRange,
    { pieceSize = readSize }: ReadOptions = {},
  ): Promise<Readable> {
    const handle = await guard(path, () => open(this.#at(path), 'r'));
    return handle.createReadStream({ highWaterMark: pieceSize, ...range });
  }

  async openFile(path: StoragePath): Promise<ReadableFile> {
    // What is no file, such as a FIFO, would have the open wait.
    const flags = constants.O_RDONLY | constants.O_NONBLOCK;
    return await guard(path, () => open(this.#at(path), flags));
  }

  async readWhole(path: StoragePath, saw?: SawFile): Promise<Buffer> {
    if (saw === undefined) return await guard(path, () => readFile(this.#at(path)));
    return await guard(path, async () => {
      const at = Date.now();
      await using handle = await open(this.#at(path), 'r');
      const before = stateOf(await handle.stat({ bigint: true }));
      const bytes = await handle.readFile();
      const after = stateOf(await handle.stat({ bigint: true }));
      saw(path, isSameState(before, after) ? after : undefined, at);
      return bytes;
    });
  }

  async put(path: StoragePath, bytes: Uint8Array, step?: VisibleStep): Promise<void> {
    const target = this.#toChange(path);
    const temporary = join(this.#root, temporaryFolder, randomUUID());
    await guard(path, async () => {
      try {
        const handle = await createFile(temporary, 'wx', this.#making);
        try {
          await handle.writeFile(bytes);
          await handle.datasync();
        } finally {
          await handle.close();
        }
        await placeFile(temporary, target, { ...this.#placing, step });
      } catch (error) {
        await rm(temporary, { force: true });
        throw error;
      }
    });
  }

  async openWriter(path: StoragePath, how: 'create' | 'append' = 'create'): Promise<StorageWriter> {
    const target = this.#toChange(path);
    return await guard(path, async () => {
      const handle =
        how === 'create'
          ? await createFile(target, creating, this.#making)
          : await open(target, appending);
      try {
        return new FilesystemWriter(path, handle, (await handle.stat()).size);
      } catch (error) {
        await handle.close();
        throw error;
      }
    });
  }

  async list(path: StoragePath, { after = '', limit = Infinity } = {}): Promise<string[]> {
    try {
      return await guard(path, () => this.#listings.page(this.#at(path), after, limit));
    } catch (error) {
      if (error instanceof StorageError && error.code === 'not-found') return [];
      throw error;
    }
  }

  async move(
    from: StoragePath,
    to: StoragePath,
    { replace = true }: MoveOptions = {},
  ): Promise<void> {
    const target = this.#toChange(to);
    const how = replace ? renameOver : renameToNew;
    await guard(from, async () => {
      await this.#assertThere();
      await placeFile(this.#at(from), target, { ...this.#placing, how });
    });
  }

  async rename(from: StoragePath, to: StoragePath): Promise<void> {
    const target = this.#toChange(to);
    await guard(from, async () => {
      await this.#assertThere();
      await rename(this.#at(from), target);
    });
  }

  async syncName(path: StoragePath): Promise<void> {
    const parent = dirname(this.#toChange(path));
    await guard(path, async () => {
      await stat(this.#at(path));
      await this.#directories.ensure(parent);
      await syncFolder(parent);
    });
  }

  async remove(path: StoragePath, step?: VisibleStep): Promise<void> {
    const target = this.#toChange(path);
    await guard(path, async () => {
      await this.#assertThere();
      await confirmStep(step);
      await removeAtOnce(target);
      this.#directories.forget(target);
      await syncFolder(dirname(target)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
    });
  }

  async clearLeftovers(olderThan: number): Promise<void> {
    await clearTemporaryFolder(this.#root, olderThan);
  }

  async prune(path: StoragePath, upTo: StoragePath = path): Promise<void> {
    const target = this.#toChange(path);
    await guard(path, async () => {
      await this.#assertThere();
      await pruneDirectory(target, this.#at(upTo));
    });
    this.#directories.forget(target);
  }

  async touch(path: StoragePath): Promise<void> {
    const now = new Date();
    const target = this.#toChange(path);
    await guard(path, async () => {
      await this.#assertThere();
      await utimes(target, now, now);
    });
  }

  localPath(path: StoragePath): string {
    return this.#at(path);
  }

  async belongsToThisMachine(): Promise<boolean> {
    return await belongsToThisMachine(this.#root);
  }

  async close(): Promise<void> {}
}

function describe(found: Stats | BigIntStats): StorageInfo {
  return {
    kind: found.isDirectory() ? 'directory' : 'file',
    size: found.isDirectory() ? 0 : Number(found.size),
    modified: found.mtime,
  };
}

/** One system call for a file, directly behind the last look at the lock; a folder with all it holds takes several. */
async function removeAtOnce(path: string): Promise<void> {
  try {
    await unlink(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return;
    if (code !== 'EISDIR' && code !== 'EPERM') throw error;
    await rm(path, { recursive: true, force: true });
  }
}
