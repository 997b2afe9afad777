import { constants, fstatSync } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { KnownFolder } from '#libs/files/known-folder.ts';
import { attempts, FolderGoneError, makeFolders } from '#libs/files/make-folders.ts';
import type { Modes } from './root-folder.ts';

/** Flags of open(2) for a file that is there and only grows. */
export const appending = constants.O_WRONLY | constants.O_APPEND;

/** The same for one that is not there yet. */
export const creating = appending | constants.O_CREAT | constants.O_EXCL;

/**
 * Opens a new file, and makes its directory, below the tree, if it is not there, or is pruned meanwhile.
 * @throws ErrnoException; FolderGoneError where the filesystem of the tree was unmounted
 */
export async function createFile(
  path: string,
  flags: number | 'wx',
  { modes, tree }: { modes: Modes; tree: KnownFolder },
): Promise<FileHandle> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await assertInTree(await open(path, flags, modes.file), path, tree);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || attempt === attempts) throw error;
    }
    if (await tree.isGone()) throw new FolderGoneError(tree.path);
    await makeFolders(dirname(path), modes.folder, tree);
  }
}

/** By the file itself: from a look before it was made the filesystem may be gone. */
async function assertInTree(
  handle: FileHandle,
  path: string,
  tree: KnownFolder,
): Promise<FileHandle> {
  try {
    // Of a file that was just made all is known here.
    const { dev } = fstatSync(handle.fd);
    if (!(await tree.isGoneFrom(dev))) return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
  await handle.close();
  await rm(path, { force: true });
  throw new FolderGoneError(tree.path);
}
