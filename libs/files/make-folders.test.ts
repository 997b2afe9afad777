import assert from 'node:assert/strict';
import { stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createTemporaryFolder } from '../../test/support/temporary-folder.ts';
import { makeFolders } from './make-folders.ts';

test('makes a folder and those above it, also where others make them at once', async () => {
  const { path, remove } = await createTemporaryFolder();
  try {
    const deep = join(path, 'a', 'b', 'c');
    await Promise.all(Array.from({ length: 20 }, () => makeFolders(deep, 0o700)));
    assert.equal((await stat(join(path, 'a'))).mode & 0o777, 0o700);
    await makeFolders(deep);
    await writeFile(join(path, 'file'), '');
    await assert.rejects(makeFolders(join(path, 'file')), { code: 'EEXIST' });
    await assert.rejects(makeFolders(join(path, 'file', 'below')), { code: 'ENOTDIR' });
  } finally {
    await remove();
  }
});

test('ends where no folder can be made', { timeout: 10_000 }, async () => {
  await assert.rejects(makeFolders('/proc/nobody/below'), { code: 'ENOENT' });
});
