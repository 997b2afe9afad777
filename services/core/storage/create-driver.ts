import type { StorageSettings } from '#libs/config/sections/storage.ts';
import type { SeenFolder } from '#libs/files/known-folder.ts';
import type { StorageDriver } from './driver.ts';
import { createFilesystemDriver } from './filesystem/filesystem.ts';
import { createMemoryDriver } from './memory.ts';

/**
 * The driver that the configuration names, open, and checked to be writable unless it need not be.
 * @param before what a process saw of its tree that was there before this one
 */
export async function createDriver(
  { storage, readOnly }: Pick<StorageSettings, 'storage' | 'readOnly'>,
  before?: SeenFolder,
): Promise<StorageDriver> {
  switch (storage.driver) {
    case 'filesystem':
      return await createFilesystemDriver(storage.root, { readOnly, before });
    case 'inmemory':
      return createMemoryDriver();
  }
}
