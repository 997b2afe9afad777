import { randomUUID } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import {
  access,
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  rmdir,
  stat,
  utimes,
} from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import {
  type ReadRange,
  type StorageDriver,
  StorageError,
  type StorageErrorCode,
  type StorageInfo,
  type StoragePath,
  type StorageWriter,
} from './driver.ts';
import { DurableDirectories, syncDirectory } from './durable-directories.ts';
import { ListingCache, pageOf } from './listing-cache.ts';

/** Bytes read at a time when a file is sent. */
const readSize = 1024 * 1024;

/** How often a directory is made again that a collection prunes at the same time. */
const attempts = 100;

/** All of a registry is below this folder. */
const treeFolder = 'docker/registry/v2';

/** Files being written by `put` stand here, where the original registry does not walk. */
const temporaryFolder = `${treeFolder}/_portcullis/tmp`;

const codes: Readonly<Record<string, StorageErrorCode>> = {
  ENOENT: 'not-found',
  ENOTDIR: 'not-found',
  EEXIST: 'exists',
  ENOSPC: 'no-space',
  EDQUOT: 'no-space',
  EROFS: 'read-only',
  EACCES: 'read-only',
  EPERM: 'read-only',
};

/**
 * Opens a tree on a local or shared filesystem.
 * @param root the folder that distribution calls `rootdirectory`; created if absent
 * @param readOnly nothing will be written, so the folder need not be writable; what would is refused
 * @throws Error with one clear sentence if it cannot be written to
 */
export async function createFilesystemDriver(
  root: string,
  { readOnly = false } = {},
): Promise<StorageDriver> {
  if (readOnly) return new FilesystemDriver(root, true);
  try {
    await mkdir(join(root, temporaryFolder), { recursive: true });
    for (const folder of [treeFolder, temporaryFolder]) {
      await access(join(root, folder), constants.W_OK | constants.X_OK);
    }
  } catch (error) {
    // Making several folders at once says ENOENT of a filesystem that is read-only.
    const probe = await access(root, constants.W_OK).catch((failure: unknown) => failure);
    const { code } = (probe ?? error) as NodeJS.ErrnoException;
    const why =
      code === 'EROFS'
        ? 'the filesystem is read-only; name a folder that can be written to'
        : `not writable by this user (${code}): chown -R ${process.getuid?.()}:${process.getgid?.()} ${root}`;
    throw new Error(`storage.filesystem.rootdirectory: ${root}: ${why}`, { cause: error });
  }
  return new FilesystemDriver(root, false);
}

class FilesystemDriver implements StorageDriver {
  readonly name = 'filesystem';
  readonly #root: string;
  readonly #readOnly: boolean;
  readonly #directories: DurableDirectories;
  readonly #listings = new ListingCache();

  constructor(root: string, readOnly: boolean) {
    this.#root = resolve(root);
    this.#readOnly = readOnly;
    this.#directories = new DurableDirectories(this.#root);
  }

  #at(path: StoragePath): string {
    return join(this.#root, path);
  }

  /** Where something may be changed. @throws StorageError read-only */
  #toChange(path: StoragePath): string {
    if (this.#readOnly) throw new StorageError('read-only', path);
    return this.#at(path);
  }

  async stat(path: StoragePath): Promise<StorageInfo> {
    const found = await guard(path, () => stat(this.#at(path)));
    return describe(found);
  }

  async read(path: StoragePath, range?: ReadRange): Promise<Readable> {
    const handle = await guard(path, () => open(this.#at(path), 'r'));
    return handle.createReadStream({ highWaterMark: readSize, ...range });
  }

  async readWhole(path: StoragePath): Promise<Buffer> {
    return await guard(path, () => readFile(this.#at(path)));
  }

  async put(path: StoragePath, bytes: Uint8Array): Promise<void> {
    const target = this.#toChange(path);
    const temporary = join(this.#root, temporaryFolder, randomUUID());
    await guard(path, async () => {
      try {
        const handle = await open(temporary, 'wx', 0o644);
        try {
          await handle.writeFile(bytes);
          await handle.datasync();
        } finally {
          await handle.close();
        }
        await this.#place(temporary, target);
      } catch (error) {
        await rm(temporary, { force: true });
        throw error;
      }
    });
  }

  async openWriter(path: StoragePath, state?: object): Promise<StorageWriter> {
    const target = this.#toChange(path);
    return await guard(path, async () => {
      const handle = state === undefined ? await createFile(target) : await open(target, appending);
      return new FilesystemWriter(path, handle, (await handle.stat()).size);
    });
  }

  async list(path: StoragePath, { after = '', limit = Infinity } = {}): Promise<string[]> {
    try {
      const names = await guard(path, () => this.#listings.names(this.#at(path)));
      return pageOf(names, after, limit);
    } catch (error) {
      if (error instanceof StorageError && error.code === 'not-found') return [];
      throw error;
    }
  }

  async move(from: StoragePath, to: StoragePath): Promise<void> {
    const target = this.#toChange(to);
    await guard(from, () => this.#place(this.#at(from), target));
  }

  async rename(from: StoragePath, to: StoragePath): Promise<void> {
    const target = this.#toChange(to);
    await guard(from, () => rename(this.#at(from), target));
  }

  async remove(path: StoragePath): Promise<void> {
    const target = this.#toChange(path);
    await guard(path, async () => {
      await rm(target, { recursive: true, force: true });
      this.#directories.forget(target);
      await syncDirectory(dirname(target)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
    });
  }

  async clearLeftovers(olderThan: number): Promise<void> {
    const folder = join(this.#root, temporaryFolder);
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }));
      if (olderThan === 0 || mtimeMs < Date.now() - olderThan) await rm(path, { force: true });
    }
  }

  async prune(path: StoragePath): Promise<void> {
    const target = this.#toChange(path);
    await guard(path, () => pruneDirectory(target));
    this.#directories.forget(target);
  }

  async touch(path: StoragePath): Promise<void> {
    const now = new Date();
    const target = this.#toChange(path);
    await guard(path, () => utimes(target, now, now));
  }

  async close(): Promise<void> {}

  /** Renames a synced file to its place, for good. */
  async #place(from: string, to: string): Promise<void> {
    const parent = dirname(to);
    const place = async () => {
      await this.#directories.ensure(parent);
      await rename(from, to);
    };
    for (let attempt = 1; ; attempt += 1) {
      try {
        await place();
        break;
      } catch (error) {
        // The source is gone, and the look at it fails; or somebody removed a directory that we had made.
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || attempt === attempts) throw error;
        await stat(from);
        this.#directories.forget(parent);
      }
    }
    await syncDirectory(parent).catch((error: NodeJS.ErrnoException) => {
      // It arrived, and a collection took it and its directory away.
      if (error.code !== 'ENOENT') throw error;
    });
  }
}

class FilesystemWriter implements StorageWriter {
  readonly #path: StoragePath;
  readonly #handle: FileHandle;
  #size: number;
  #closed = false;

  constructor(path: StoragePath, handle: FileHandle, size: number) {
    this.#path = path;
    this.#handle = handle;
    this.#size = size;
  }

  get size(): number {
    return this.#size;
  }

  async write(bytes: Uint8Array): Promise<void> {
    await guard(this.#path, async () => {
      let offset = 0;
      while (offset < bytes.length) {
        const { bytesWritten } = await this.#handle.write(bytes, offset, bytes.length - offset);
        offset += bytesWritten;
        // Counted as it lands: after a full disk the size is still what the file holds.
        this.#size += bytesWritten;
      }
    });
  }

  async sync(): Promise<void> {
    await guard(this.#path, () => this.#handle.datasync());
  }

  state(): Record<string, never> {
    return {};
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await guard(this.#path, () => this.#handle.close());
  }
}

const appending = constants.O_WRONLY | constants.O_APPEND;

/** Opens a new file for appending, and makes its directory, which may be pruned meanwhile. */
async function createFile(path: string): Promise<FileHandle> {
  for (let attempt = 1; ; attempt += 1) {
    await mkdir(dirname(path), { recursive: true });
    try {
      return await open(path, appending | constants.O_CREAT | constants.O_EXCL, 0o644);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || attempt === attempts) throw error;
    }
  }
}

/** Removes a directory and those below it as far as they are empty. */
async function pruneDirectory(path: string): Promise<void> {
  try {
    for (const entry of await readdir(path, { withFileTypes: true })) {
      if (entry.isDirectory()) await pruneDirectory(join(path, entry.name));
    }
    await rmdir(path);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (!['ENOENT', 'ENOTDIR', 'ENOTEMPTY', 'EEXIST'].includes(code)) throw error;
  }
}

async function guard<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (cause) {
    const code = codes[(cause as NodeJS.ErrnoException).code ?? ''] ?? 'failed';
    throw new StorageError(code, path, {
      cause,
      message: `${path}: ${(cause as Error).message}`,
    });
  }
}

function describe(found: Stats): StorageInfo {
  return {
    kind: found.isDirectory() ? 'directory' : 'file',
    size: found.isDirectory() ? 0 : found.size,
    modified: found.mtime,
  };
}
