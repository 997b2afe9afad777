import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { digestOf } from '#libs/oci/digest.ts';
import { parseRepositoryName, parseTag } from '#libs/oci/reference.ts';
import { createUploadId } from '#libs/oci/upload-id.ts';
import type { StorageDriver, StoragePath } from '../storage/driver.ts';
import { createMemoryDriver } from '../storage/memory.ts';
import { walkRepositories } from './catalog.ts';
import { paths } from './paths.ts';
import { writeLink } from './small-files.ts';

const digest = digestOf(Buffer.from('x'));

async function treeOf(names: readonly string[]): Promise<StorageDriver> {
  const driver = createMemoryDriver();
  for (const name of names) {
    await writeLink(driver, paths.layerLink(parseRepositoryName(name), digest), digest);
  }
  return driver;
}

async function walk(driver: StorageDriver, last = ''): Promise<string[]> {
  return await Array.fromAsync(walkRepositories(driver, last));
}

/** Names that share beginnings, with every character that stands near the slash in byte order. */
const part = fc.constantFrom('a', 'b', 'a-b', 'a.b', 'a_b', 'a__b', 'a0', '0', 'ab', 'a-', 'a/');
const path = fc
  .array(part, { minLength: 1, maxLength: 4 })
  .map((parts) =>
    parts
      .join('/')
      .replaceAll(/\/+/g, '/')
      .replaceAll(/-(?=\/|$)/g, ''),
  )
  .map((text) => text.replace(/\/$/, ''));
const anywhere = fc.oneof(
  path,
  path.map((text) => `${text}/`),
  path.map((text) => `${text}-`),
  path.map((text) => `${text}0`),
  fc.string({ unit: fc.constantFrom(...'ab-./_0~!'), maxLength: 5 }),
);

describe('the walk over all repositories', () => {
  test('a repository stands before its neighbours a-b and a.b, and those before what is below it', async () => {
    const names = ['a/b', 'a', 'a.b', 'a-b', 'a0', 'a/b/c', 'a_b', 'b'];
    const expected = ['a', 'a-b', 'a.b', 'a/b', 'a/b/c', 'a0', 'a_b', 'b'];
    const driver = await treeOf(names);
    assert.deepEqual(await walk(driver), expected);
    for (const [index, last] of expected.entries()) {
      assert.deepEqual(await walk(driver, last), expected.slice(index + 1), `after ${last}`);
    }
  });

  test('the order is that of the full names, from any point', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(path, { maxLength: 12 }), anywhere, async (names, last) => {
        const driver = await treeOf(names);
        assert.deepEqual(await walk(driver, last), names.filter((name) => name > last).sort());
      }),
      { numRuns: 300 },
    );
  });

  test('an empty registry has no repositories', async () => {
    assert.deepEqual(await walk(createMemoryDriver()), []);
  });

  test('a folder that only holds repositories is none itself', async () => {
    assert.deepEqual(await walk(await treeOf(['team/app'])), ['team/app']);
  });

  test('a repository that has only manifests counts, one that has only uploads does not', async () => {
    const driver = createMemoryDriver();
    const tagged = parseRepositoryName('tagged');
    await writeLink(driver, paths.tagCurrent(tagged, parseTag('v1')), digest);
    const started = paths.uploadStartedAt(parseRepositoryName('started'), createUploadId());
    await driver.put(started, Buffer.from('2026-01-02T03:04:05Z'));
    assert.deepEqual(await walk(driver), ['tagged']);
  });

  test('names that nobody could ask for are passed over', async () => {
    const driver = await treeOf(['good']);
    for (const name of ['Upper', 'bad..name', '.hidden', 'lost+found', 'bad-']) {
      const link = `${paths.repositories}/${name}/_layers/sha256/x/link` as StoragePath;
      await driver.put(link, Buffer.from(digest));
    }
    await driver.put(`${paths.repositories}/a-file` as StoragePath, Buffer.from('x'));
    assert.deepEqual(await walk(driver), ['good']);
  });

  test('the walk stops where its reader stops', async () => {
    const driver = await treeOf(['a', 'b', 'c']);
    const found: string[] = [];
    for await (const name of walkRepositories(driver, '')) {
      found.push(name);
      if (found.length === 2) break;
    }
    assert.deepEqual(found, ['a', 'b']);
  });
});
