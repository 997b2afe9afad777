import assert from 'node:assert/strict';
import { mkdir, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import {
  createTemporaryFolder,
  type TemporaryFolder,
} from '../../../../test/support/temporary-folder.ts';
import { ListingCache, pageOf } from './listing-cache.ts';

describe('listings of directories', () => {
  let folder: TemporaryFolder;
  let cache: ListingCache;
  const expected = Array.from({ length: 200 }, (_, index) => `n${String(index).padStart(3, '0')}`);

  beforeEach(async () => {
    folder = await createTemporaryFolder();
    cache = new ListingCache();
    for (const name of expected) await writeFile(join(folder.path, name), '');
  });

  afterEach(async () => {
    await folder.remove();
  });

  /** As if nothing had happened to it for a minute. */
  async function settle(): Promise<void> {
    const past = new Date(Date.now() - 60_000);
    await utimes(folder.path, past, past);
  }

  test('a settled directory is read once', async () => {
    await settle();
    const names = await cache.names(folder.path);
    assert.deepEqual(names, expected);
    assert.equal(await cache.names(folder.path), names, 'the very same list');
  });

  test('one that changed a moment ago is read each time', async () => {
    const names = await cache.names(folder.path);
    assert.notEqual(await cache.names(folder.path), names);
  });

  test('one that changes all the time is read as often for many who ask as for two', async () => {
    let reads = 0;
    cache = new ListingCache(1000, async (path) => {
      reads += 1;
      const names = await readdir(path);
      await sleep(20);
      return names;
    });
    const early = Array.from({ length: 10 }, () => cache.names(folder.path));
    await sleep(5);
    await writeFile(join(folder.path, 'new'), '');
    const late = Array.from({ length: 10 }, () => cache.names(folder.path));
    for (const names of await Promise.all(late)) assert.ok(names.includes('new'));
    await Promise.all(early);
    assert.equal(reads, 2);
    await cache.names(folder.path);
    assert.equal(reads, 3);
    await rm(folder.path, { recursive: true });
    const gone = [cache.names(folder.path), cache.names(folder.path)];
    for (const names of gone) await assert.rejects(names, { code: 'ENOENT' });
    await mkdir(folder.path);
    assert.deepEqual(await cache.names(folder.path), []);
  });

  test('large ones are read one after the other, others beside them', async () => {
    // As large as if it had many names.
    const many = Array.from({ length: 20_000 }, (_, index) => `${index}`.padStart(120, 'n'));
    const paths = ['a', 'b', 'c'].map((name) => join(folder.path, name));
    for (const path of paths) {
      await mkdir(path);
      for (let start = 0; start < many.length; start += 500) {
        await Promise.all(
          many.slice(start, start + 500).map((name) => writeFile(join(path, name), '')),
        );
      }
    }
    const running = new Set<string>();
    let most = 0;
    cache = new ListingCache(1000, async (path) => {
      if (paths.includes(path)) running.add(path);
      most = Math.max(most, running.size);
      const names = await readdir(path);
      await sleep(20);
      running.delete(path);
      return names;
    });
    const reads = paths.map((path) => cache.names(path));
    assert.equal((await cache.names(folder.path)).length, expected.length + paths.length);
    for (const names of await Promise.all(reads)) assert.equal(names.length, many.length);
    assert.equal(most, 1);
    await rm(paths[0] ?? '', { recursive: true });
    await assert.rejects(cache.names(paths[0] ?? ''), { code: 'ENOENT' });
    assert.equal((await cache.names(paths[1] ?? '')).length, many.length);
  });

  test('of one that has more names than are kept a page is the same, and seen at once', async () => {
    cache = new ListingCache(100);
    for (let round = 0; round < 2; round += 1) {
      assert.deepEqual(await cache.page(folder.path, '', 3), expected.slice(0, 3));
      assert.deepEqual(await cache.page(folder.path, 'n100', 50), expected.slice(101, 151));
      assert.deepEqual(await cache.page(folder.path, 'n198', 50), ['n199']);
      assert.deepEqual(await cache.page(folder.path, 'z', 50), []);
      assert.deepEqual(await cache.page(folder.path, '', 1000), expected);
    }
    await writeFile(join(folder.path, 'a'), '');
    assert.deepEqual(await cache.page(folder.path, '', 2), ['a', 'n000']);
    await rm(folder.path, { recursive: true });
    await assert.rejects(cache.page(folder.path, '', 2), { code: 'ENOENT' });
    await mkdir(folder.path);
  });

  test('one that has as many names as are kept, or one more, is not read for each page', async () => {
    for (const names of [expected.length, expected.length + 1]) {
      let reads = 0;
      cache = new ListingCache(names, (path) => {
        reads += 1;
        return readdir(path);
      });
      await settle();
      for (let page = 0; page < 5; page += 1) {
        assert.deepEqual(await cache.page(folder.path, '', 3), expected.slice(0, 3));
      }
      assert.equal(reads, 1, `${names} names are kept`);
    }
  });

  test('whoever adds or removes a name is seen at once', async () => {
    await settle();
    await cache.names(folder.path);
    await writeFile(join(folder.path, 'new'), '');
    assert.ok((await cache.names(folder.path)).includes('new'));
    await settle();
    await cache.names(folder.path);
    await rm(join(folder.path, 'new'));
    assert.deepEqual(await cache.names(folder.path), expected);
  });

  test('another directory in its place is seen, also one of the same age', async () => {
    const past = new Date(Date.now() - 60_000);
    await utimes(folder.path, past, past);
    await cache.names(folder.path);
    await rm(folder.path, { recursive: true });
    await mkdir(folder.path);
    await writeFile(join(folder.path, 'other'), '');
    await utimes(folder.path, past, past);
    assert.deepEqual(await cache.names(folder.path), ['other']);
  });

  test('an absent directory is an error, and forgotten', async () => {
    await settle();
    await cache.names(folder.path);
    await rm(folder.path, { recursive: true });
    await assert.rejects(cache.names(folder.path), { code: 'ENOENT' });
    await mkdir(folder.path);
  });
});

test('a page is what a filter of the sorted names gives', () => {
  const name = fc.string({ unit: fc.constantFrom(...'abAB-._0'), maxLength: 3 });
  fc.assert(
    fc.property(
      fc.uniqueArray(name, { maxLength: 20 }),
      name,
      fc.oneof(fc.nat({ max: 25 }), fc.constant(Number.POSITIVE_INFINITY)),
      (names, after, limit) => {
        const sorted = [...names].sort();
        const later = sorted.filter((one) => one > after);
        assert.deepEqual(pageOf(sorted, after, limit), later.slice(0, limit));
      },
    ),
  );
});
