import type { Settings } from '#libs/config/settings.ts';
import type { StorageDriver } from './driver.ts';
import { createFilesystemDriver } from './filesystem.ts';
import { createMemoryDriver } from './memory.ts';

/** The driver that the configuration names, open and checked. */
export async function createDriver(storage: Settings['storage']): Promise<StorageDriver> {
  switch (storage.driver) {
    case 'filesystem':
      return await createFilesystemDriver(storage.root);
    case 'inmemory':
      return createMemoryDriver();
  }
}
