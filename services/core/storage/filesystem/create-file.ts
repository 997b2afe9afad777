import { constants } from 'node:fs';
import { access, type FileHandle, mkdir, open, stat } from 'node:fs/promises';
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

/**
 * Makes a directory and all above it, also while a collection prunes them. mkdir says that there is no such folder where
 * it means that the filesystem is read-only, or that one on the way was pruned; of that it also says that it is none.
 */
export async function makeFolders(path: string, mode: number): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await mkdir(path, { recursive: true, mode });
      return;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT') await assertWritable(path);
      else if (code !== 'ENOTDIR' || (await isBlocked(path))) throw error;
      if (attempt === attempts) throw error;
    }
  }
}

/** Whether something that is no folder stands on the way. */
async function isBlocked(path: string): Promise<boolean> {
  for (let folder = path; ; folder = dirname(folder)) {
    try {
      return !(await stat(folder)).isDirectory();
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
    }
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
