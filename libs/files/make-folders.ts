import { lstat, mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

/** How often a folder is made again that somebody else removes at the same time. */
export const attempts = 100;

/**
 * Makes a folder and those above it, as far as they are not there; also while somebody removes empty ones on the way.
 * Node's own `recursive` does not end where a parent is there and says that it is not, as /proc does, and tells a
 * filesystem that is read-only as a folder that is not there.
 * @param mode of the folders that are made
 * @throws ErrnoException: EEXIST or ENOTDIR where something else is in the way
 */
export async function makeFolders(path: string, mode = 0o777): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await makeFolder(path, mode);
    } catch (error) {
      if (attempt === attempts || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}

async function makeFolder(path: string, mode: number): Promise<void> {
  try {
    return await mkdir(path, mode);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return await assertFolder(path, error);
    const parent = dirname(path);
    if (code !== 'ENOENT' || parent === path) throw error;
    await makeFolder(parent, mode);
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
