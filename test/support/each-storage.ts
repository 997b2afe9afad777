import { describe } from 'node:test';
import type { StorageDriver } from '../../services/core/storage/driver.ts';
import { createFilesystemDriver } from '../../services/core/storage/filesystem/filesystem.ts';
import { createMemoryDriver } from '../../services/core/storage/memory.ts';
import { createTemporaryFolder } from './temporary-folder.ts';

export interface OpenStorage {
  driver: StorageDriver;
  close(): Promise<void>;
}

const storages: Record<string, () => Promise<OpenStorage>> = {
  async memory() {
    const driver = createMemoryDriver();
    return { driver, close: () => driver.close() };
  },
  async filesystem() {
    const folder = await createTemporaryFolder();
    const driver = await createFilesystemDriver(folder.path);
    return {
      driver,
      async close() {
        await driver.close();
        await folder.remove();
      },
    };
  },
};

/** Runs the same cases over every storage that needs no server. */
export function describeEachStorage(
  title: string,
  cases: (open: () => Promise<OpenStorage>) => void,
): void {
  for (const [name, open] of Object.entries(storages)) {
    describe(`${title}, over ${name}`, () => cases(open));
  }
}
