import assert from 'node:assert/strict';
import { rmdir, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
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
    await assert.rejects(makeFolders(join(path, 'file', 'far', 'below')), { code: 'ENOTDIR' });
    await symlink('nowhere', join(path, 'link'));
    await assert.rejects(makeFolders(join(path, 'link')), { code: 'EEXIST' });
  } finally {
    await remove();
  }
});

test('ends where no folder can be made', { timeout: 10_000 }, async () => {
  await assert.rejects(makeFolders('/proc/nobody/below'), { code: 'ENOENT' });
});

test('makes a folder beside somebody who removes empty ones on the way', async () => {
  await using folder = await createTemporaryFolder();
  const path = join(folder.path, 'a/b/c/d');
  let isOver = false;
  const pruning = (async () => {
    while (!isOver) {
      for (let pruned = path; pruned !== folder.path; pruned = dirname(pruned)) {
        await rmdir(pruned).catch(() => {});
      }
    }
  })();
  try {
    for (let round = 0; round < 500; round += 1) {
      await Promise.all(Array.from({ length: 4 }, () => makeFolders(path, 0o755)));
    }
  } finally {
    isOver = true;
    await pruning;
  }
});
