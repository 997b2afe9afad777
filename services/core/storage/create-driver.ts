import type { StorageSettings } from '#libs/config/sections/storage.ts';
import type { StorageDriver } from './driver.ts';
import { createFilesystemDriver } from './filesystem/filesystem.ts';
import { createMemoryDriver } from './memory.ts';

/**
 * The driver that the configuration names, open, and checked to be writable unless it need not be.
 * @param hadStorage whether a process before this one had its tree there
 */
export async function createDriver(
  { storage, readOnly }: Pick<StorageSettings, 'storage' | 'readOnly'>,
  hadStorage = false,
): Promise<StorageDriver> {
  switch (storage.driver) {
    case 'filesystem':
      return await createFilesystemDriver(storage.root, { readOnly, hadStorage });
    case 'inmemory':
      return createMemoryDriver();
  }
}
