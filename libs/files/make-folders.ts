import { lstat, mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { KnownFolder } from './known-folder.ts';

/** How often a folder is made again that somebody else removes at the same time. */
export const attempts = 100;

/**
 * Makes a folder and those above it, as far as they are not there; also while somebody removes empty ones on the way.
 * Node's own `recursive` does not end where a parent is there and says that it is not, as /proc does, and tells a
 * filesystem that is read-only as a folder that is not there.
 * @param mode of the folders that are made
 * @param below a folder above that is not made again, nor what is above it
 * @throws ErrnoException: EEXIST or ENOTDIR where something else is in the way; FolderGoneError
 */
export async function makeFolders(path: string, mode = 0o777, below?: KnownFolder): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await makeFolder(path, mode, below);
    } catch (error) {
      if (attempt === attempts || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}

/** A folder is not there that nobody of us may make again: its filesystem may not be mounted. */
export class FolderGoneError extends Error {
  readonly code = 'folder-gone';

  constructor(path: string) {
    super(`${path} is gone; put it back, or mount its filesystem again`);
  }
}

async function makeFolder(
  path: string,
  mode: number,
  below: KnownFolder | undefined,
): Promise<void> {
  if (path === below?.path && below.wasThere) {
    if (await below.isGone()) throw new FolderGoneError(path);
    return;
  }
  try {
    return await mkdir(path, mode);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return await assertFolder(path, error);
    const parent = dirname(path);
    if (code !== 'ENOENT' || parent === path) throw error;
    await makeFolder(parent, mode, below);
  }
  await mkdir(path, mode).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
}

/** @throws the error where something else is there, be it a link to nowhere; ENOENT if it is gone meanwhile */
async function assertFolder(path: string, error: unknown): Promise<void> {
  const found = await stat(path).catch(() => lstat(path));
  if (!found.isDirectory()) throw error;
}
