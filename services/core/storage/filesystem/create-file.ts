import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { KnownFolder } from '#libs/files/known-folder.ts';
import { attempts, makeFolders } from '#libs/files/make-folders.ts';
import type { Modes } from './root-folder.ts';

/** Flags of open(2) for a file that is there and only grows. */
export const appending = constants.O_WRONLY | constants.O_APPEND;

/** The same for one that is not there yet. */
export const creating = appending | constants.O_CREAT | constants.O_EXCL;

/** Opens a new file, and makes its directory, below the tree, if it is not there, or is pruned meanwhile. */
export async function createFile(
  path: string,
  flags: number | 'wx',
  { modes, tree }: { modes: Modes; tree: KnownFolder },
): Promise<FileHandle> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await open(path, flags, modes.file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || attempt === attempts) throw error;
    }
    await makeFolders(dirname(path), modes.folder, tree);
  }
}
