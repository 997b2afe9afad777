import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createMetrics } from '#libs/metrics/metrics.ts';
import { storageDriverContract } from '../../../test/contract/storage-driver.ts';
import { parseExposition } from '../../../test/support/exposition.ts';
import { createFailingDriver } from '../../../test/support/failing-driver.ts';
import { createTemporaryFolder } from '../../../test/support/temporary-folder.ts';
import type { StorageDriver, StoragePath } from './driver.ts';
import { createFilesystemDriver } from './filesystem/filesystem.ts';
import { measureStorage } from './measured.ts';
import { createMemoryDriver } from './memory.ts';

const metricsOfTest = () => createMetrics({ process: 'core', version: 'test' });

storageDriverContract({
  name: 'the measured filesystem',
  async create() {
    const folder = await createTemporaryFolder();
    return {
      driver: measureStorage(await createFilesystemDriver(folder.path), metricsOfTest()),
      leftovers: folder.files,
      destroy: folder.remove,
    };
  },
});

storageDriverContract({
  name: 'the measured memory',
  async create() {
    const driver = measureStorage(createMemoryDriver(), metricsOfTest());
    return {
      driver,
      leftovers: () => driver.list('' as StoragePath),
      async destroy() {},
    };
  },
});

describe('a measured driver', () => {
  const file = '/docker/registry/v2/some/file' as StoragePath;
  const duration = 'portcullis_storage_operation_duration_seconds';

  test('measures each operation and counts errors by code', async () => {
    const metrics = metricsOfTest();
    const failing = createFailingDriver(createMemoryDriver());
    const driver = measureStorage(failing, metrics);
    await driver.put(file, Buffer.from('x'));
    await driver.stat(file);
    await driver.stat(file);
    const writer = await driver.openWriter(`${file}2` as StoragePath);
    await writer.write(Buffer.from('ab'));
    assert.equal(writer.size, 2);
    await writer.close();
    await assert.rejects(driver.openWriter(file), { code: 'exists' });
    failing.failOn('no-space', () => true);
    await assert.rejects(writer.write(Buffer.from('c')), { code: 'no-space' });

    const scraped = parseExposition(await metrics.expose());
    const times = (operation: string) => scraped.value(`${duration}_count`, { operation });
    assert.deepEqual(['put', 'stat', 'openWriter', 'write', 'list', 'close'].map(times), [
      1,
      2,
      2,
      2,
      undefined,
      undefined,
    ]);
    const errors = (operation: string, code: string) =>
      scraped.value('portcullis_storage_errors_total', { operation, code });
    assert.equal(errors('openWriter', 'exists'), 1);
    assert.equal(errors('write', 'no-space'), 1);
    assert.equal(scraped.sum('portcullis_storage_errors_total'), 2);
  });

  test('has the abilities of what it measures, and no others', async () => {
    const metrics = metricsOfTest();
    const { touch: _, ...bare } = createMemoryDriver();
    const able: StorageDriver = {
      ...bare,
      chunkMinLength: 5,
      async prune() {},
      async touch() {},
      async clearLeftovers() {},
      localPath: (path) => `/srv${path}`,
    };
    const plain = measureStorage(bare, metricsOfTest());
    for (const name of ['prune', 'touch', 'clearLeftovers', 'chunkMinLength', 'localPath']) {
      assert.equal(name in plain, false, name);
    }
    assert.equal(plain.prune, undefined);
    const driver = measureStorage(able, metrics);
    assert.equal(driver.chunkMinLength, 5);
    assert.equal(driver.localPath?.(file), `/srv${file}`);
    await driver.prune?.(file);
    await driver.touch?.(file);
    await driver.clearLeftovers?.(0);
    const scraped = parseExposition(await metrics.expose());
    assert.equal(scraped.value(`${duration}_count`, { operation: 'prune' }), 1);
    assert.equal(scraped.value(`${duration}_count`, { operation: 'touch' }), 1);
  });

  test('of a filesystem has all that there is of it', async () => {
    await using folder = await createTemporaryFolder();
    const driver = await createFilesystemDriver(folder.path);
    const members = Object.getOwnPropertyNames(Object.getPrototypeOf(driver)).filter(
      (name) => name !== 'constructor' && !name.startsWith('#'),
    );
    const measured = measureStorage(driver, metricsOfTest());
    assert.deepEqual(
      members.filter((name) => !(name in measured)),
      [],
    );
    await driver.close();
  });

  test('that measures nothing is the driver itself', () => {
    const driver = createMemoryDriver();
    assert.equal(measureStorage(driver, undefined), driver);
  });
});
