import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileToWrite } from '#libs/files/file-to-write.ts';
import type { FileOffer } from '#libs/http/file-offer.ts';
import type { Instance } from '#libs/internal/instance.ts';
import { anyTree, treeIdentity } from '#libs/internal/tree-identity.ts';
import type { Logger } from '#libs/log/logger.ts';

/** What a gateway does with files of the tree. */
export type TreeUse = 'read' | 'write';

/** The storage tree of the cores, where this gateway can see it. */
export interface SharedTree {
  /**
   * What to tell a core so that it offers its files, or wants them written; undefined for one that has another tree, as far
   * as we know, and where these files are not ours to use so.
   */
  nameFor(instance: Instance, use: TreeUse): string | undefined;
  /**
   * Opens a file that was offered.
   * @throws Error if it is not there any more, is not what was offered, or may not be read
   */
  open(offer: FileOffer): Promise<FileHandle>;
  /**
   * Opens an empty file that is to be written.
   * @throws Error if it is not there, is not what was named, or may not be written to
   */
  openToWrite(file: FileToWrite): Promise<FileHandle>;
}

/** Milliseconds between two looks at a folder: one that was not there, and one that somebody may put back from elsewhere. */
const lookEvery = { absent: 1000, known: 60_000 } as const;
/** Milliseconds for which nothing is asked for after a file that is not ours to read. */
const refusedFor = 60_000;
/** Errors of files that this process may not use. */
const refusals: ReadonlySet<string> = new Set(['EACCES', 'EPERM', 'EROFS']);
const told: Readonly<Record<TreeUse, string>> = {
  read: 'the storage cannot be read from here; the cores send the bytes of blobs',
  write: 'the storage cannot be written to from here; the cores take the bytes of uploads',
};

/**
 * @param folder of the tree, absolute; a core that starts beside us may be about to make it
 * @param offload `auto`: cores of this machine, which compare the folder; `on`: all, as whoever configured it knows
 */
export function createSharedTree(folder: string, offload: 'auto' | 'on', log: Logger): SharedTree {
  let name = offload === 'on' ? anyTree : undefined;
  let lookedAt = Number.NEGATIVE_INFINITY;
  const refusedAt = { read: Number.NEGATIVE_INFINITY, write: Number.NEGATIVE_INFINITY };
  const isTold = { read: false, write: false };

  function look(): void {
    const now = performance.now();
    if (now - lookedAt < (name === undefined ? lookEvery.absent : lookEvery.known)) return;
    lookedAt = now;
    void treeIdentity(folder).then((found) => {
      name = found;
    });
  }

  function beRefused(use: TreeUse, error: Error): void {
    refusedAt[use] = performance.now();
    if (!isTold[use]) log.warn({ err: error }, told[use]);
    isTold[use] = true;
  }

  /** What is no file, such as a FIFO, would have the open wait, and a link may lead anywhere. */
  async function openFile(path: string, how: number, check: (found: BigIntStats) => boolean) {
    const flags = how | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const handle = await open(join(folder, path), flags).catch((error: NodeJS.ErrnoException) => {
      if (refusals.has(error.code ?? ''))
        beRefused(how === constants.O_RDONLY ? 'read' : 'write', error);
      throw error;
    });
    try {
      const found = await handle.stat({ bigint: true });
      if (!found.isFile() || !check(found)) throw new Error(`${path} is not what the core has`);
      return handle;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  // So that the first blob that is asked for is read here as well.
  if (offload === 'auto') look();

  return {
    nameFor({ target }, use) {
      // Only processes of one kernel mean the same by a device and an inode.
      if (offload === 'auto' && target.socketPath == null) return undefined;
      // All cores have it at one path, and may know its files by other numbers, by which those to be written are named.
      if (use === 'write' && offload === 'on') return undefined;
      if (performance.now() - refusedAt[use] < refusedFor) return undefined;
      if (offload === 'auto') look();
      return name;
    },

    open: ({ path, size }) =>
      openFile(path, constants.O_RDONLY, (found) => found.size === BigInt(size)),

    openToWrite: ({ path, identity }) =>
      openFile(
        path,
        constants.O_WRONLY,
        ({ dev, ino, size }) => `${dev}:${ino}` === identity && size === 0n,
      ),
  };
}
