import { constants } from 'node:fs';
import { access, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolders } from '#libs/files/make-folders.ts';
import { howToMakeWritable } from '#libs/files/make-writable.ts';
import { treeFolder } from '#libs/values/storage-tree.ts';
import { errorCodes } from '../system-error.ts';

/** Files being written by `put` stand here, where the original registry does not walk. */
export const temporaryFolder = `${treeFolder}/_portcullis/tmp`;

/**
 * Makes the folders of a tree, and looks whether we may write to them. A full disk is no reason to stay away, nor is a
 * filesystem that is read-only where there is a tree, as after an error of the disk: what is there is served.
 */
export async function prepareFolders(root: string, modes: Modes): Promise<void> {
  try {
    await makeFolders(join(root, temporaryFolder), modes.folder);
  } catch (error) {
    const why = await explain(root, error as NodeJS.ErrnoException);
    if (why !== undefined) throw unusable(root, why);
  }
  for (const folder of [treeFolder, temporaryFolder]) {
    const path = join(root, folder);
    const error = await access(path, constants.W_OK | constants.X_OK).catch((cause) => cause);
    const { code } = (error ?? {}) as NodeJS.ErrnoException;
    // Not there: the disk was full.
    if (code === undefined || code === 'ENOENT') continue;
    const why = await explain(root, error);
    if (why !== undefined) throw unusable(root, why);
  }
}

/** @returns undefined for what may pass by itself */
async function explain(root: string, error: NodeJS.ErrnoException): Promise<string | undefined> {
  if (errorCodes[error.code ?? ''] === 'no-space') return undefined;
  // Making several folders at once says ENOENT of a filesystem that is read-only.
  const probe = await access(root, constants.W_OK).catch((failure: unknown) => failure);
  const { code } = (probe ?? error) as NodeJS.ErrnoException;
  if (code === 'EROFS') {
    const tree = await stat(join(root, treeFolder)).catch(() => undefined);
    if (tree !== undefined) return undefined;
    return 'the filesystem is read-only; name a folder that can be written to';
  }
  const isThere = code !== 'ENOENT';
  const what = isThere
    ? `not writable by this user (${code})`
    : `does not exist, and this user may not make it (${error.code})`;
  return `${what}: ${howToMakeWritable(root, { isThere })}`;
}

function unusable(root: string, why: string): Error {
  return new Error(`storage.filesystem.rootdirectory: ${root}: ${why}`);
}

/** Permissions of what is made; the umask may take some away. */
export interface Modes {
  folder: number;
  file: number;
}

/**
 * What others may read of the tree, they may read of what is added to it, and no more: sessions name accounts. Of a new
 * tree they may read nothing.
 */
export async function modesOf(root: string): Promise<Modes> {
  const tree = await stat(join(root, treeFolder)).catch(() => undefined);
  const folder = tree === undefined ? 0o700 : tree.mode & 0o777;
  return { folder, file: folder & 0o666 };
}

/** Removes what writers left in the folder of temporary files. @param olderThan milliseconds; 0 is all of it */
export async function clearTemporaryFolder(root: string, olderThan: number): Promise<void> {
  const folder = join(root, temporaryFolder);
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  for (const name of names) {
    const path = join(folder, name);
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }));
    if (olderThan === 0 || mtimeMs < Date.now() - olderThan) await rm(path, { force: true });
  }
}
