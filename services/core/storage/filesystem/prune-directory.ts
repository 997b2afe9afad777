import { readdir, rmdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Removes a directory and those below it as far as they are empty. */
export async function pruneDirectory(path: string): Promise<void> {
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
