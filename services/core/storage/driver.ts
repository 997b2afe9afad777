import type { Readable } from 'node:stream';
import type { FileState } from '#libs/files/file-state.ts';
import type { KnownFolder } from '#libs/files/known-folder.ts';
import type { ReadableFile } from '#libs/files/readable-file.ts';

/**
 * A place in the storage tree: absolute, parts between slashes, no `.` or `..` and no empty part.
 * Built only by `registry/paths.ts`; every driver may rely on the form.
 */
export type StoragePath = string & { readonly __brand: 'StoragePath' };

export interface StorageInfo {
  kind: 'file' | 'directory';
  /** Bytes; 0 for a directory. */
  size: number;
  modified: Date;
}

/** First and last byte, both included. */
export interface ReadRange {
  start: number;
  end: number;
}

export interface ReadOptions {
  /** Bytes to read at a time, where the storage reads piece by piece: two pieces are in memory at once. */
  pieceSize?: number;
}

export interface MoveOptions {
  /** False: what is at the target stays, also what comes there in the last moment. */
  replace?: boolean;
}

/**
 * Bytes on their way to a path. One writer at a time, which the caller sees to.
 * What `write` has taken survives the end of the process once it resolves; the end of power only
 * after `sync`.
 */
export interface StorageWriter {
  /** Bytes taken so far, those of an earlier writer included. */
  readonly size: number;
  /** Resolves when the bytes are with the storage; the buffer may be used again then. */
  write(bytes: Uint8Array): Promise<void>;
  /** Resolves when everything written is kept over a power loss. */
  sync(): Promise<void>;
  /** Lets go of the resources; what was written stays. Safe to call twice. */
  close(): Promise<void>;
}

/** What is asked directly before a step that others can see. */
export interface VisibleStep {
  /**
   * Called when all is prepared and only the step itself is left, such as the rename of a file that is
   * written and synced. It looks at its lock last. What it throws is passed on, and nothing was changed.
   */
  confirm?: () => Promise<void>;
}

/**
 * Told of a file that was looked at, as it was then; without a state where it changed meanwhile.
 * @param at just before that, in milliseconds since the epoch
 */
export type SawFile = (path: StoragePath, state: FileState | undefined, at: number) => void;

/**
 * The storage port. All members reject with {@link StorageError}; none changes its arguments.
 * `put`, `move` and `remove` are kept over a power loss when they resolve.
 */
export interface StorageDriver {
  readonly name: string;
  /** Bytes below which a part of an upload costs this storage more than it should. */
  readonly chunkMinLength?: number;
  /** An ability of filesystems: the folder of the tree, without which nothing is known of what is there. */
  readonly tree?: KnownFolder;
  /**
   * @param saw told of it by storages whose files tell of changes
   * @throws StorageError not-found
   */
  stat(path: StoragePath, saw?: SawFile): Promise<StorageInfo>;
  /**
   * Opens a file; the stream gives exactly the range, or the whole file without one.
   * @throws StorageError not-found before the stream is handed out
   */
  read(path: StoragePath, range?: ReadRange, options?: ReadOptions): Promise<Readable>;
  /**
   * An ability: opens a file to be read piece by piece into buffers that are used again.
   * @throws StorageError not-found
   */
  openFile?(path: StoragePath): Promise<ReadableFile>;
  /**
   * An ability: reads a small file whole, with no more memory than it has bytes. Without it, `read` does.
   * @param saw told of it, as it was while it was read, by storages whose files tell of changes
   * @throws StorageError not-found
   */
  readWhole?(path: StoragePath, saw?: SawFile): Promise<Buffer>;
  /** Writes a small file whole: readers see the old content or the new, never a part. */
  put(path: StoragePath, bytes: Uint8Array, step?: VisibleStep): Promise<void>;
  /**
   * Opens a file for writing: a new one, or the end of one that is there.
   * @throws StorageError exists, where it is to be new; not-found, where it is to be there
   */
  openWriter(path: StoragePath, how?: 'create' | 'append'): Promise<StorageWriter>;
  /**
   * Names directly below a directory, in byte order, at most `limit` of those after `after`.
   * An absent directory has no names.
   */
  list(path: StoragePath, page?: { after?: string; limit?: number }): Promise<string[]>;
  /**
   * Renames a file, replacing what is at the target.
   * @throws StorageError not-found; exists, where it is not to be replaced, and the file stays where it was
   */
  move(from: StoragePath, to: StoragePath, options?: MoveOptions): Promise<void>;
  /**
   * As `move`, but kept over the end of a process only, not over a power loss; the folder of the target
   * must be there. Of several who rename one file at once, one succeeds.
   * @throws StorageError not-found
   */
  rename(from: StoragePath, to: StoragePath): Promise<void>;
  /**
   * An ability of storages where that is a step of its own: resolves when the name of a file that is there is kept over a
   * power loss, though whoever gave it that name may not have got so far.
   * @throws StorageError not-found
   */
  syncName?(path: StoragePath): Promise<void>;
  /** Removes a file or a directory with all it holds; an absent path is no error. */
  remove(path: StoragePath, step?: VisibleStep): Promise<void>;
  /**
   * An ability: removes what a crash left half written, which was never acknowledged.
   * @param olderThan milliseconds; 0 is only for whoever owns the tree alone, before it serves
   */
  clearLeftovers?(olderThan: number): Promise<void>;
  /**
   * An ability of storages that have directories: removes the empty ones at and below a path. Files
   * stay, also one that is put there meanwhile.
   * @param upTo a path above, below which the empty ones over this path go as well
   */
  prune?(path: StoragePath, upTo?: StoragePath): Promise<void>;
  /**
   * An ability: makes a file as young as if it were written now, also where there is no room for another byte.
   * @throws StorageError not-found
   */
  touch?(path: StoragePath): Promise<void>;
  /** An ability of filesystems: where this machine has the path. */
  localPath?(path: StoragePath): string;
  /** An ability of filesystems: whether no other machine can have this one mounted at the same time. */
  belongsToThisMachine?(): Promise<boolean>;
  close(): Promise<void>;
}

/** Why a storage operation failed, in words that hold for every driver. */
export type StorageErrorCode = 'not-found' | 'exists' | 'no-space' | 'read-only' | 'failed';

export class StorageError extends Error {
  readonly code: StorageErrorCode;
  readonly path: string;

  constructor(code: StorageErrorCode, path: string, options?: ErrorOptions & { message?: string }) {
    super(options?.message ?? `${path}: ${code}`, options);
    this.name = 'StorageError';
    this.code = code;
    this.path = path;
  }
}

/** Gives undefined where the storage has nothing, and passes every other failure on. */
export async function ifPresent<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (error instanceof StorageError && error.code === 'not-found') return undefined;
    throw error;
  }
}
