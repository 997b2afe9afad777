import { readdir, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * Removes a directory and those below it as far as they are empty, and then those above it.
 * @param upTo a directory above, which stays; the same: nothing above is touched
 */
export async function pruneDirectory(path: string, upTo = path): Promise<void> {
  let isGone = await pruneBelow(path);
  for (let above = dirname(path); isGone && above.startsWith(`${upTo}/`); above = dirname(above)) {
    isGone = await ifEmpty(() => rmdir(above));
  }
}

/** @returns whether it is gone */
async function pruneBelow(path: string): Promise<boolean> {
  return await ifEmpty(async () => {
    for (const entry of await readdir(path, { withFileTypes: true })) {
      if (entry.isDirectory()) await pruneBelow(join(path, entry.name));
    }
    await rmdir(path);
  });
}

/** @returns whether there is no such directory any more */
async function ifEmpty(remove: () => Promise<void>): Promise<boolean> {
  try {
    await remove();
    return true;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (!['ENOENT', 'ENOTDIR', 'ENOTEMPTY', 'EEXIST'].includes(code)) throw error;
    return code === 'ENOENT';
  }
}
