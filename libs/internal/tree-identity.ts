import { stat } from 'node:fs/promises';

/**
 * Names a folder on this machine, whatever its path is: processes of one kernel to which it has the same name see the same
 * files below it.
 * @returns `device:inode`; undefined where there is none
 */
export async function treeIdentity(folder: string): Promise<string | undefined> {
  const found = await stat(folder, { bigint: true }).catch(() => undefined);
  return found?.isDirectory() === true ? `${found.dev}:${found.ino}` : undefined;
}

/** What a gateway says that is told to see the core's files, whatever their names on its machine are. */
export const anyTree = '*';
