import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import {
  type StorageDriver,
  StorageError,
  type StorageErrorCode,
  type StoragePath,
} from '../../services/core/storage/driver.ts';

/** A fresh, empty storage for one case. */
export interface StorageUnderTest {
  driver: StorageDriver;
  /** Names of everything the storage holds, temporary files included. */
  leftovers(): Promise<string[]>;
  /** Takes the storage away. */
  destroy(): Promise<void>;
}

export interface StorageDriverContract {
  name: string;
  create: () => Promise<StorageUnderTest>;
  /** Cases this driver cannot pass, each with its reason. */
  skip?: readonly { case: string; reason: string }[];
}

const folder = '/docker/registry/v2/contract' as StoragePath;
const at = (name: string) => `${folder}/${name}` as StoragePath;

/** What every driver promises; a driver's test is this and a factory. */
export function storageDriverContract({ name, create, skip = [] }: StorageDriverContract): void {
  describe(`${name} keeps the storage contract`, () => {
    let storage: StorageUnderTest;
    let driver: StorageDriver;

    beforeEach(async () => {
      storage = await create();
      driver = storage.driver;
    });

    afterEach(async () => {
      try {
        await driver.remove(folder);
        assert.deepEqual(await storage.leftovers(), [], 'the case left something behind');
      } finally {
        await driver.close();
        await storage.destroy();
      }
    });

    const check = (title: string, body: () => Promise<void>) => {
      const reason = skip.find((entry) => entry.case === title)?.reason;
      test(title, { skip: reason ?? false }, body);
    };

    check('a file that was put is read back whole, and its size is told', async () => {
      const bytes = randomBytes(70_000);
      await driver.put(at('a/b/file'), bytes);
      assert.deepEqual(await contentOf(driver, 'a/b/file'), bytes);
      const { kind, size, modified } = await driver.stat(at('a/b/file'));
      assert.deepEqual({ kind, size }, { kind: 'file', size: bytes.length });
      assert.ok(Math.abs(Date.now() - modified.getTime()) < 24 * 60 * 60 * 1000);
    });

    check('an empty file is there, and is empty', async () => {
      await driver.put(at('empty'), Buffer.alloc(0));
      assert.equal((await driver.stat(at('empty'))).size, 0);
      assert.deepEqual(await contentOf(driver, 'empty'), Buffer.alloc(0));
    });

    check('a folder of a file is a directory of size 0', async () => {
      await driver.put(at('a/b'), Buffer.from('x'));
      const { kind, size } = await driver.stat(at('a'));
      assert.deepEqual({ kind, size }, { kind: 'directory', size: 0 });
    });

    check('put replaces what was there', async () => {
      await driver.put(at('file'), Buffer.from('a long old text'));
      await driver.put(at('file'), Buffer.from('new'));
      assert.equal((await contentOf(driver, 'file')).toString(), 'new');
    });

    check('a reader that opened before a put reads the old content whole', async () => {
      const old = randomBytes(3 * 1024 * 1024);
      await driver.put(at('file'), old);
      const stream = await driver.read(at('file'));
      await driver.put(at('file'), Buffer.from('new'));
      assert.deepEqual(await collect(stream), old);
    });

    check('of several puts at once one wins whole', async () => {
      const contents = [1, 2, 3, 4, 5, 6].map((value) => Buffer.alloc(value * 1000, value));
      await Promise.all(contents.map((bytes) => driver.put(at('new/folder/file'), bytes)));
      const found = await contentOf(driver, 'new/folder/file');
      assert.ok(contents.some((bytes) => bytes.equals(found)));
    });

    check('puts at once into one new folder all arrive', async () => {
      const names = Array.from({ length: 12 }, (_, index) => `n${String(index).padStart(2, '0')}`);
      await Promise.all(names.map((name) => driver.put(at(`x/y/${name}`), Buffer.from(name))));
      assert.deepEqual(await driver.list(at('x/y')), names);
    });

    check('what is stored does not change with the buffer it came from', async () => {
      const bytes = Buffer.from('right');
      await driver.put(at('put'), bytes);
      const writer = await driver.openWriter(at('written'));
      await writer.write(bytes);
      await writer.close();
      bytes.fill('x');
      assert.equal((await contentOf(driver, 'put')).toString(), 'right');
      assert.equal((await contentOf(driver, 'written')).toString(), 'right');
    });

    check('a range gives exactly its bytes', async () => {
      const size = 5000;
      const bytes = randomBytes(size);
      await driver.put(at('file'), bytes);
      const index = fc.nat({ max: size - 1 });
      await fc.assert(
        fc.asyncProperty(index, index, async (one, other) => {
          const range = { start: Math.min(one, other), end: Math.max(one, other) };
          const part = await collect(await driver.read(at('file'), range));
          assert.deepEqual(part, bytes.subarray(range.start, range.end + 1));
        }),
        { numRuns: 50 },
      );
    });

    check('a range across many reads gives exactly its bytes', async () => {
      const bytes = randomBytes(3 * 1024 * 1024 + 17);
      await driver.put(at('file'), bytes);
      const range = { start: 1024 * 1024 - 1, end: bytes.length - 2 };
      const part = await collect(await driver.read(at('file'), range));
      assert.ok(part.equals(bytes.subarray(range.start, range.end + 1)));
    });

    check('what is absent is not found, also below a file', async () => {
      await driver.put(at('file'), Buffer.from('x'));
      for (const name of ['absent', 'absent/child', 'file/child']) {
        await rejectsWith('not-found', () => driver.stat(at(name)));
        await rejectsWith('not-found', () => driver.read(at(name)));
        await rejectsWith('not-found', () => driver.move(at(name), at('elsewhere')));
        await rejectsWith('not-found', () => driver.openWriter(at(name), 'append'));
      }
      assert.deepEqual(await driver.list(folder), ['file']);
    });

    check('a writer tells its size, and what it took can be read at once', async () => {
      const writer = await driver.openWriter(at('a/file'));
      assert.equal(writer.size, 0);
      await writer.write(Buffer.from('one '));
      await writer.write(Buffer.alloc(0));
      await writer.write(Buffer.from('two'));
      assert.equal(writer.size, 7);
      assert.equal((await contentOf(driver, 'a/file')).toString(), 'one two');
      await writer.sync();
      await writer.close();
      await writer.close();
      assert.equal((await driver.stat(at('a/file'))).size, 7);
    });

    check('a writer goes on where an earlier one ended', async () => {
      const chunks = [1, 2, 3].map((value) => Buffer.alloc(1024 * 1024 + value, value));
      let size = 0;
      for (const chunk of chunks) {
        const writer = await driver.openWriter(at('file'), size === 0 ? 'create' : 'append');
        assert.equal(writer.size, size);
        await writer.write(chunk);
        size = writer.size;
        await writer.close();
      }
      assert.ok((await contentOf(driver, 'file')).equals(Buffer.concat(chunks)));
    });

    check('a second writer of a new file is refused, and harms nothing', async () => {
      const writer = await driver.openWriter(at('file'));
      await writer.write(Buffer.from('mine'));
      await writer.close();
      await rejectsWith('exists', () => driver.openWriter(at('file')));
      assert.equal((await contentOf(driver, 'file')).toString(), 'mine');
    });

    check('of two writers that open a new file at once one is refused', async () => {
      const results = await Promise.allSettled([
        driver.openWriter(at('file')),
        driver.openWriter(at('file')),
      ]);
      const opened = results.filter((result) => result.status === 'fulfilled');
      assert.equal(opened.length, 1);
      for (const { value } of opened) await value.close();
    });

    check('a list has the names directly below, in byte order', async () => {
      for (const name of ['b', 'a/x', 'a-b/x', 'a.b', 'A', '_a/y/z', '0']) {
        await driver.put(at(`list/${name}`), Buffer.from('x'));
      }
      const names = ['0', 'A', '_a', 'a', 'a-b', 'a.b', 'b'];
      assert.deepEqual(await driver.list(at('list')), names);
      assert.deepEqual(await driver.list(at('list/a')), ['x']);
    });

    check('an absent directory and a file have no names', async () => {
      await driver.put(at('file'), Buffer.from('x'));
      assert.deepEqual(await driver.list(at('absent')), []);
      assert.deepEqual(await driver.list(at('file')), []);
    });

    check('a page of a list starts anywhere and holds no more than asked for', async () => {
      const part = fc.string({ unit: fc.constantFrom(...'ab01-._Z'), minLength: 1, maxLength: 4 });
      const name = part.filter((text) => text !== '.' && text !== '..');
      await fc.assert(
        fc.asyncProperty(
          fc.uniqueArray(name, { maxLength: 12 }),
          fc.string({ unit: fc.constantFrom(...'ab01-._Z/'), maxLength: 4 }),
          fc.integer({ min: 1, max: 6 }),
          async (names, after, limit) => {
            for (const each of names) await driver.put(at(`page/${each}`), Buffer.from('x'));
            const expected = names.filter((each) => each > after).sort();
            assert.deepEqual(await driver.list(at('page'), { after }), expected);
            assert.deepEqual(
              await driver.list(at('page'), { after, limit }),
              expected.slice(0, limit),
            );
            await driver.remove(at('page'));
          },
        ),
        { numRuns: 25 },
      );
    });

    check('move renames into new folders and replaces the target', async () => {
      await driver.put(at('from'), Buffer.from('new'));
      await driver.put(at('deep/er/to'), Buffer.from('old'));
      await driver.move(at('from'), at('deep/er/to'));
      assert.equal((await contentOf(driver, 'deep/er/to')).toString(), 'new');
      await rejectsWith('not-found', () => driver.stat(at('from')));
      await driver.move(at('deep/er/to'), at('other/folder/to'));
      assert.equal((await contentOf(driver, 'other/folder/to')).toString(), 'new');
    });

    check(
      'move replaces nothing where it is told so, not even what comes in the last moment',
      async () => {
        await driver.put(at('from'), Buffer.from('old'));
        await driver.move(at('from'), at('deep/er/to'), { replace: false });
        await rejectsWith('not-found', () => driver.stat(at('from')));
        for (const name of ['other', 'from']) await driver.put(at(name), Buffer.from(name));
        await rejectsWith('exists', () =>
          driver.move(at('other'), at('deep/er/to'), { replace: false }),
        );
        assert.equal((await contentOf(driver, 'deep/er/to')).toString(), 'old');
        assert.equal((await contentOf(driver, 'other')).toString(), 'other');
        const outcomes = await Promise.allSettled(
          ['other', 'from'].map((name) => driver.move(at(name), at('new'), { replace: false })),
        );
        assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
        await rejectsWith('not-found', () => driver.move(at('x'), at('y'), { replace: false }));
      },
    );

    check('a small file is read at once, where the storage can', async () => {
      if (driver.readWhole === undefined) return;
      await driver.put(at('small'), Buffer.from('abc'));
      await driver.put(at('nothing'), Buffer.alloc(0));
      assert.equal(String(await driver.readWhole?.(at('small'))), 'abc');
      assert.equal((await driver.readWhole?.(at('nothing')))?.length, 0);
      await rejectsWith('not-found', async () => void (await driver.readWhole?.(at('absent'))));
    });

    check('rename gives a file another name, once', async () => {
      await driver.put(at('from'), Buffer.from('new'));
      const renamings = ['one', 'other'].map((name) => driver.rename(at('from'), at(name)));
      const outcomes = await Promise.allSettled(renamings);
      assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
      assert.equal((await driver.list(folder)).length, 1);
      await rejectsWith('not-found', () => driver.rename(at('from'), at('third')));
    });

    check('a move without a source leaves the target as it was', async () => {
      await driver.put(at('to'), Buffer.from('kept'));
      await rejectsWith('not-found', () => driver.move(at('absent'), at('to')));
      assert.equal((await contentOf(driver, 'to')).toString(), 'kept');
    });

    check('remove takes a directory with all it holds, and nothing beside it', async () => {
      for (const name of ['a/x', 'a/y/z', 'a-b/x', 'ab', 'a.b/x']) {
        await driver.put(at(name), Buffer.from('x'));
      }
      await driver.remove(at('a'));
      assert.deepEqual(await driver.list(folder), ['a-b', 'a.b', 'ab']);
      await driver.remove(at('ab'));
      assert.deepEqual(await driver.list(folder), ['a-b', 'a.b']);
      await rejectsWith('not-found', () => driver.stat(at('a/y/z')));
    });

    check('removing what is absent is no error', async () => {
      await driver.remove(at('absent'));
      await driver.remove(at('absent/deeper/still'));
    });

    check('pruning takes empty directories, and no file', async () => {
      if (driver.prune === undefined) return;
      await driver.put(at('a/kept/file'), Buffer.from('x'));
      for (const name of ['a/b/c/d', 'a/e', 'a/kept/empty/f']) {
        await driver.put(at(name), Buffer.from('x'));
        await driver.remove(at(name));
      }
      await driver.prune(at('a'));
      assert.deepEqual(await driver.list(at('a')), ['kept']);
      assert.deepEqual(await driver.list(at('a/kept')), ['file']);
      await driver.prune(at('absent'));
      await driver.remove(at('a/kept/file'));
      await driver.prune(at('a'));
      await rejectsWith('not-found', () => driver.stat(at('a')));
    });

    check('pruning goes up as far as it is told, and stops where something is', async () => {
      if (driver.prune === undefined) return;
      await driver.put(at('up/kept'), Buffer.from('x'));
      for (const name of ['up/a/b/c', 'up/a/d']) {
        await driver.put(at(`${name}/f`), Buffer.from('x'));
        await driver.remove(at(`${name}/f`));
        await driver.prune(at(name), at('up'));
      }
      assert.deepEqual(await driver.list(at('up')), ['kept']);
      await driver.remove(at('up/kept'));
      await driver.prune(at('up/absent'), at('up'));
      assert.deepEqual(await driver.list(at('up')), []);
    });

    check('files arrive in directories that are pruned at the same time', async () => {
      if (driver.prune === undefined) return;
      let done = false;
      const pruning = (async () => {
        while (!done) {
          await driver.prune?.(at('busy'));
          await sleep(1);
        }
      })();
      try {
        for (let index = 0; index < 30; index += 1) {
          await driver.put(at(`busy/${index}/put`), Buffer.from('x'));
          const writer = await driver.openWriter(at(`busy/${index}/deep/written`));
          await writer.close();
          await driver.move(at(`busy/${index}/put`), at(`busy/${index}/moved/put`));
        }
      } finally {
        done = true;
        await pruning;
      }
      for (let index = 0; index < 30; index += 1) {
        assert.deepEqual(await driver.list(at(`busy/${index}`)), ['deep', 'moved']);
      }
    });

    check('touching makes a file young', async () => {
      if (driver.touch === undefined) return;
      await driver.put(at('file'), Buffer.from('x'));
      const { modified } = await driver.stat(at('file'));
      await sleep(20);
      await driver.touch(at('file'));
      assert.ok((await driver.stat(at('file'))).modified > modified);
      assert.equal((await contentOf(driver, 'file')).toString(), 'x');
      await rejectsWith('not-found', async () => await driver.touch?.(at('absent')));
    });

    check('a path can be used again after it was removed', async () => {
      await driver.put(at('a/b/c'), Buffer.from('1'));
      await driver.remove(at('a'));
      await driver.put(at('a/b/c'), Buffer.from('2'));
      await driver.remove(at('a'));
      const writer = await driver.openWriter(at('a/b/c'));
      await writer.close();
      await driver.move(at('a/b/c'), at('a/d/c'));
      assert.deepEqual(await driver.list(at('a/d')), ['c']);
    });
  });
}

async function collect(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function contentOf(driver: StorageDriver, name: string): Promise<Buffer> {
  return await collect(await driver.read(at(name)));
}

async function rejectsWith(code: StorageErrorCode, action: () => Promise<unknown>): Promise<void> {
  await assert.rejects(action, (error) => {
    assert.ok(error instanceof StorageError, `a StorageError, not ${String(error)}`);
    assert.equal(error.code, code);
    return true;
  });
}
