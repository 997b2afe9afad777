import { storageDriverContract } from '../../../test/contract/storage-driver.ts';
import type { StoragePath } from './driver.ts';
import { createMemoryDriver } from './memory.ts';

storageDriverContract({
  name: 'inmemory',
  async create() {
    const driver = createMemoryDriver();
    return {
      driver,
      leftovers: () => driver.list('' as StoragePath),
      async destroy() {},
    };
  },
});
