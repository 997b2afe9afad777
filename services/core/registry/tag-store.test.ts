import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import fc from 'fast-check';
import { digestOf } from '#libs/oci/digest.ts';
import { isTag, parseRepositoryName, parseTag, type Tag } from '#libs/oci/reference.ts';
import { createFailingDriver, type FailingDriver } from '../../../test/support/failing-driver.ts';
import { createMemoryDriver } from '../storage/memory.ts';
import { allNotes, noteLink } from './dangling-links.ts';
import { paths } from './paths.ts';
import { readAll } from './small-files.ts';
import { createTagStore, type TagStore } from './tag-store.ts';

const app = parseRepositoryName('team/app');
const [first, second] = [digestOf(Buffer.from('1')), digestOf(Buffer.from('2'))];
const everything = { last: '', limit: 1000 };

describe('the tags of a repository', () => {
  let driver: FailingDriver;
  let tags: TagStore;

  beforeEach(() => {
    driver = createFailingDriver(createMemoryDriver());
    tags = createTagStore(driver);
  });

  async function point(...names: string[]): Promise<void> {
    for (const name of names) await tags.point(app, parseTag(name), first);
  }

  test('a tag points at a manifest, and can be moved', async () => {
    const tag = parseTag('latest');
    assert.equal(await tags.resolve(app, tag), undefined);
    await tags.point(app, tag, first);
    assert.equal(await tags.resolve(app, tag), first);
    await tags.point(app, tag, second);
    assert.equal(await tags.resolve(app, tag), second);
  });

  test('a tag’s index keeps all it pointed at, as the original does', async () => {
    const tag = parseTag('latest');
    await tags.point(app, tag, first);
    await tags.point(app, tag, second);
    for (const digest of [first, second]) {
      const link = await readAll(driver, paths.tagIndex(app, tag, digest));
      assert.equal(link.toString(), digest);
    }
  });

  test('a move that fails leaves the tag where it was', async () => {
    const tag = parseTag('latest');
    await tags.point(app, tag, first);
    driver.failOn('no-space', (operation) => operation === 'put');
    await assert.rejects(tags.point(app, tag, second), { code: 'no-space' });
    driver.recover();
    assert.equal(await tags.resolve(app, tag), first);
  });

  test('removing a tag leaves its siblings, also those that point at the same', async () => {
    await point('v1', 'v1.0', 'v1-0');
    await tags.remove(app, parseTag('v1'));
    assert.deepEqual((await tags.list(app, everything)).tags, ['v1-0', 'v1.0']);
    await assert.rejects(tags.remove(app, parseTag('v1')), { code: 'MANIFEST_UNKNOWN' });
  });

  test('removing a tag is not refused any more once its link is gone', async () => {
    const tag = parseTag('latest');
    await tags.point(app, tag, first);
    await noteLink(driver, { kind: 'tag', repository: app, tag, target: first }, {});
    let asked = 0;
    await tags.remove(app, tag, {
      async confirm() {
        asked += 1;
        if (asked > 1) throw new Error('the lock is lost');
      },
    });
    assert.equal(await tags.resolve(app, tag), undefined);
    assert.deepEqual(await Array.fromAsync(allNotes(driver)), []);
  });

  test('removing a tag again takes what an attempt left that ended after its link', async () => {
    await point('v1');
    const v1 = parseTag('v1');
    await driver.remove(paths.tagCurrent(app, v1));
    await assert.rejects(tags.remove(app, v1), { code: 'MANIFEST_UNKNOWN' });
    assert.deepEqual(await driver.list(paths.tagHistory(app, v1)), []);
  });

  test('removing what points at a manifest takes those tags and no others', async () => {
    await point('a', 'b', 'moved');
    await tags.point(app, parseTag('c'), second);
    await tags.point(app, parseTag('moved'), second);
    await tags.removePointingAt(app, first);
    assert.deepEqual((await tags.list(app, everything)).tags, ['c', 'moved']);
  });

  test('removing a tag takes its history, and leaves that of one that is made again meanwhile', async () => {
    const [gone, made] = [parseTag('gone'), parseTag('made')];
    await point(gone, made);
    await tags.removePointingAt(app, second);
    const step = { confirm: async () => {} };
    await tags.removePointingAt(app, first, step);
    assert.deepEqual(await driver.list(paths.tagHistory(app, gone)), []);
    await tags.point(app, made, first);
    let steps = 0;
    const held = {
      async confirm() {
        steps += 1;
        // The link is gone; then this process is held up, and its lock is another's.
        if (steps === 1) return;
        await tags.point(app, made, second);
        throw new Error('the lock is lost');
      },
    };
    await tags.remove(app, made, held);
    assert.equal(steps, 2);
    assert.equal(await tags.resolve(app, made), second);
    const link = await readAll(driver, paths.tagIndex(app, made, second));
    assert.equal(link.toString(), second);
  });

  test('a torn tag is listed no more than it can be pulled, and can be pushed again', async () => {
    await point('good', 'torn');
    await driver.put(paths.tagCurrent(app, parseTag('torn')), Buffer.alloc(0));
    assert.deepEqual(await tags.list(app, everything), { tags: ['good'], more: false });
    assert.equal(await tags.resolve(app, parseTag('torn')), undefined);
    await point('torn');
    assert.deepEqual((await tags.list(app, everything)).tags, ['good', 'torn']);
  });

  test('a repository without tags has none', async () => {
    assert.deepEqual(await tags.list(app, everything), { tags: [], more: false });
    await tags.removePointingAt(app, first);
  });

  test('a page of no tags is empty and promises no more', async () => {
    await point('a');
    assert.deepEqual(await tags.list(app, { last: '', limit: 0 }), { tags: [], more: false });
  });

  test('pages of any size from anywhere are those of the sorted list', async () => {
    const tag = fc
      .string({ unit: fc.constantFrom(...'abAB09_.-'), minLength: 1, maxLength: 4 })
      .filter((text): text is Tag => isTag(text));
    const last = fc.string({ unit: fc.constantFrom(...'abAB09_.-'), maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(tag, { maxLength: 10 }),
        last,
        fc.integer({ min: 1, max: 11 }),
        async (names, start, limit) => {
          const store = createTagStore(createMemoryDriver());
          for (const name of names) await store.point(app, name, first);
          const expected = names.filter((name) => name > start).sort();
          assert.deepEqual(await store.list(app, { last: start, limit }), {
            tags: expected.slice(0, limit),
            more: expected.length > limit,
          });
        },
      ),
      { numRuns: 60 },
    );
  });
});
