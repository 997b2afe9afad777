import assert from 'node:assert/strict';
import { rmdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { createTemporaryFolder } from '../../../../test/support/temporary-folder.ts';
import { makeFolders } from './create-file.ts';

test('folders are made beside a collection that prunes them', async () => {
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

test('a file in the way of a folder is told', async () => {
  await using folder = await createTemporaryFolder();
  await writeFile(join(folder.path, 'a'), '');
  await assert.rejects(makeFolders(join(folder.path, 'a/b/c'), 0o755), { code: 'ENOTDIR' });
});
