import assert from 'node:assert/strict';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from '../../test/support/run.ts';
import { createTemporaryFolder } from '../../test/support/temporary-folder.ts';
import { KnownFolder } from './known-folder.ts';

test('a folder is gone only once it was there', async () => {
  await using folder = await createTemporaryFolder();
  const path = join(folder.path, 'a/b');
  const known = new KnownFolder(path);
  assert.deepEqual([known.wasThere, await known.isGone()], [false, false]);
  await mkdir(path, { recursive: true });
  assert.deepEqual([known.wasThere, await known.isGone()], [true, false]);
  await known.seen;
  await rename(join(folder.path, 'a'), join(folder.path, 'away'));
  assert.deepEqual([known.wasThere, await known.isGone()], [true, true]);
  // Another one in its place is as good, such as one that was restored.
  await mkdir(path, { recursive: true });
  assert.equal(await known.isGone(), false);
  await rm(join(folder.path, 'a'), { recursive: true });
  assert.equal(await new KnownFolder(path, true).isGone(), true);
});

test('what lies below a place to mount at is not what was mounted there', async (context) => {
  await using folder = await createTemporaryFolder();
  const at = join(folder.path, 'mounted');
  const path = join(at, 'tree');
  await mkdir(path, { recursive: true });
  if ((await run('mount', ['-t', 'tmpfs', 'tmpfs', at])).code !== 0) {
    context.skip('nothing can be mounted here');
    return;
  }
  try {
    await mkdir(path);
    const known = new KnownFolder(path);
    assert.equal(await known.isGone(), false);
    assert.equal((await run('umount', [at])).code, 0);
    assert.equal(await known.isGone(), true);
    // Mounted again it may have another number.
    assert.equal((await run('mount', ['-t', 'tmpfs', 'tmpfs', at])).code, 0);
    assert.equal(await known.isGone(), true);
    await mkdir(path);
    assert.equal(await known.isGone(), false);
  } finally {
    await run('umount', [at]);
  }
});
