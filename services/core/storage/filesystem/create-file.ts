import { constants } from 'node:fs';
import { access, type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Modes } from './root-folder.ts';

/** How often a directory is made again that a collection prunes at the same time. */
export const attempts = 100;

/** Flags of open(2) for a file that is there and only grows. */
export const appending = constants.O_WRONLY | constants.O_APPEND;

/** The same for one that is not there yet. */
export const creating = appending | constants.O_CREAT | constants.O_EXCL;

/** Opens a new file, and makes its directory if it is not there, or is pruned meanwhile. */
export async function createFile(
  path: string,
  flags: number | 'wx',
  modes: Modes,
): Promise<FileHandle> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await open(path, flags, modes.file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || attempt === attempts) throw error;
    }
    await makeFolders(dirname(path), modes.folder);
  }
}

/** Makes a directory and all above it. mkdir says that there is no such folder where it means that the filesystem is read-only. */
export async function makeFolders(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { recursive: true, mode });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') await assertWritable(path);
    throw error;
  }
}

/** @throws ErrnoException EROFS or EACCES, of the nearest folder that is there */
async function assertWritable(path: string): Promise<void> {
  for (let folder = path; ; folder = dirname(folder)) {
    try {
      return await access(folder, constants.W_OK);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || folder === '/') throw error;
    }
  }
}
