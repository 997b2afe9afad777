import assert from 'node:assert/strict';
import { chmod, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createTemporaryFolder } from '../../test/support/temporary-folder.ts';
import { editFile } from './edit-file.ts';

test('of many who change a file at once none loses what it wrote', async () => {
  await using folder = await createTemporaryFolder();
  const path = join(folder.path, 'new/file');
  const numbers = Array.from({ length: 20 }, (_, index) => `${index}`);
  await Promise.all(numbers.map((number) => editFile(path, (text = '') => `${text}${number}\n`)));
  const lines = (await readFile(path, 'utf8')).trim().split('\n');
  assert.deepEqual(lines.sort(), numbers.sort());
  assert.deepEqual(await readdir(join(folder.path, 'new')), ['file'], 'nothing is left behind');
  assert.equal((await stat(path)).mode & 0o777, 0o600);
});

test('a file keeps its mode, and what cannot be made leaves it as it was', async () => {
  await using folder = await createTemporaryFolder();
  const path = join(folder.path, 'file');
  await writeFile(path, 'old');
  await chmod(path, 0o640);
  await editFile(path, (text) => `${text} and new`);
  assert.equal((await stat(path)).mode & 0o777, 0o640);
  const fail = () => {
    throw new Error('no');
  };
  await assert.rejects(editFile(path, fail), /^Error: no$/);
  assert.equal(await readFile(path, 'utf8'), 'old and new');
  assert.deepEqual(await readdir(folder.path), ['file']);
});

test('a lock that somebody left long ago is nobody’s', async () => {
  await using folder = await createTemporaryFolder();
  const path = join(folder.path, 'file');
  await writeFile(`${path}.lock`, '');
  const longAgo = Date.now() / 1000 - 3600;
  await utimes(`${path}.lock`, longAgo, longAgo);
  await editFile(path, () => 'text');
  assert.equal(await readFile(path, 'utf8'), 'text');
});
