import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '#libs/oci/digest.ts';
import { createFailingDriver } from '../../../test/support/failing-driver.ts';
import type { StorageDriver, StoragePath } from '../storage/driver.ts';
import { createMemoryDriver } from '../storage/memory.ts';
import { readAll, readLink, writeLink, writeVolatile } from './small-files.ts';

const path = '/docker/registry/v2/folder/link' as StoragePath;
const digest = digestOf(Buffer.from('content'));

async function withContent(content: string): Promise<StorageDriver> {
  const driver = createMemoryDriver();
  await driver.put(path, Buffer.from(content));
  return driver;
}

test('a link is written as the bare digest and read back', async () => {
  const driver = createMemoryDriver();
  await writeLink(driver, path, digest);
  assert.equal((await readAll(driver, path)).toString(), digest);
  assert.equal(await readLink(driver, path), digest);
});

test('a link with space around it, as an editor leaves it, is read', async () => {
  assert.equal(await readLink(await withContent(` ${digest}\n`), path), digest);
});

test('an absent link names nothing', async () => {
  assert.equal(await readLink(createMemoryDriver(), path), undefined);
});

for (const [what, content] of [
  ['empty', ''],
  ['torn', digest.slice(0, 40)],
  ['zeroed', '\0'.repeat(digest.length)],
  ['foreign', 'sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709'],
  ['doubled', `${digest}${digest}`],
] as const) {
  test(`a link that is ${what} names nothing`, async () => {
    assert.equal(await readLink(await withContent(content), path), undefined);
  });
}

test('a link that cannot be read is a failure, not an absent one', async () => {
  const driver = createFailingDriver(await withContent(digest));
  driver.failOn('failed', (operation) => operation === 'read');
  await assert.rejects(readLink(driver, path), { code: 'failed' });
});

test('a volatile file is written once; a second writer is refused', async () => {
  const driver = createMemoryDriver();
  await writeVolatile(driver, path, 'first');
  await assert.rejects(writeVolatile(driver, path, 'second'), { code: 'exists' });
  assert.equal((await readAll(driver, path)).toString(), 'first');
});
