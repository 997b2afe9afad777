import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { storageDriverContract } from '../../../test/contract/storage-driver.ts';
import { createFailingDriver } from '../../../test/support/failing-driver.ts';
import { createTemporaryFolder } from '../../../test/support/temporary-folder.ts';
import type { StorageDriver, StorageError, StoragePath } from './driver.ts';
import { createFilesystemDriver } from './filesystem/filesystem.ts';
import { guardWrites } from './guarded.ts';
import { createMemoryDriver } from './memory.ts';

storageDriverContract({
  name: 'guarded filesystem',
  async create() {
    const folder = await createTemporaryFolder();
    const driver = await createFilesystemDriver(folder.path);
    return {
      driver: guardWrites(driver, { before: async () => {}, failed() {} }),
      leftovers: folder.files,
      destroy: folder.remove,
    };
  },
});

describe('a guarded driver', () => {
  const file = '/some/file' as StoragePath;
  const other = '/some/other' as StoragePath;
  const refused = new Error('not now');

  const changes: Record<string, (driver: StorageDriver) => Promise<unknown> | undefined> = {
    put: (driver) => driver.put(file, Buffer.from('2')),
    openWriter: (driver) => driver.openWriter(other),
    move: (driver) => driver.move(file, other),
    rename: (driver) => driver.rename(file, other),
    remove: (driver) => driver.remove(file),
    prune: (driver) => driver.prune?.('/some' as StoragePath),
    touch: (driver) => driver.touch?.(file),
  };

  for (const [name, change] of Object.entries(changes)) {
    test(`asks before ${name}, which changes nothing if the answer is no`, async () => {
      await using folder = await createTemporaryFolder();
      const driver = await createFilesystemDriver(folder.path);
      await driver.put(file, Buffer.from('1'));
      const before = await driver.stat(file);
      const guarded = guardWrites(driver, { before: () => Promise.reject(refused), failed() {} });
      await assert.rejects(change(guarded) ?? Promise.resolve(), refused);
      assert.deepEqual(await driver.stat(file), before);
      assert.deepEqual(await folder.files(), ['some/file']);
    });
  }

  test('asks nobody before it reads', async () => {
    const driver = createMemoryDriver();
    await driver.put(file, Buffer.from('1'));
    const guarded = guardWrites(driver, { before: () => Promise.reject(refused), failed() {} });
    assert.equal((await guarded.stat(file)).size, 1);
    assert.deepEqual(await guarded.list('/some' as StoragePath), ['file']);
    for await (const chunk of await guarded.read(file)) assert.equal(String(chunk), '1');
  });

  test('tells what the storage refused, and not what is part of the day’s work', async () => {
    const failing = createFailingDriver(createMemoryDriver());
    const told: StorageError[] = [];
    const guarded = guardWrites(failing, {
      before: async () => {},
      failed: (error) => void told.push(error),
    });
    const writer = await guarded.openWriter(file);
    await assert.rejects(guarded.openWriter(file), { code: 'exists' });
    await assert.rejects(guarded.move(other, file), { code: 'not-found' });
    failing.failOn('no-space', () => true);
    await assert.rejects(writer.write(Buffer.from('1')), { code: 'no-space' });
    await assert.rejects(writer.sync(), { code: 'no-space' });
    await assert.rejects(guarded.put(file, Buffer.from('1')), { code: 'no-space' });
    assert.deepEqual(
      told.map(({ code }) => code),
      ['no-space', 'no-space', 'no-space'],
    );
  });
});
