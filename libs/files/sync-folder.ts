import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

/** Resolves when the names in a folder are kept over a power loss. @throws Error of the system */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
