import assert from 'node:assert/strict';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { run } from '../../test/support/run.ts';
import { createTemporaryFolder } from '../../test/support/temporary-folder.ts';
import { KnownFolder, type SeenFolder } from './known-folder.ts';

test('a folder is gone only once it was there', async () => {
  await using folder = await createTemporaryFolder();
  const path = join(folder.path, 'a/b');
  const known = new KnownFolder(path);
  assert.deepEqual([known.wasThere, await known.isGone()], [false, false]);
  await mkdir(path, { recursive: true });
  assert.deepEqual([known.wasThere, await known.isGone()], [true, false]);
  assert.equal(typeof known.seen?.mounts, 'number');
  await rename(join(folder.path, 'a'), join(folder.path, 'away'));
  assert.deepEqual([known.wasThere, await known.isGone()], [true, true]);
  // Another one in its place is as good, such as one that was restored.
  await mkdir(path, { recursive: true });
  assert.equal(await known.isGone(), false);
  await rm(join(folder.path, 'a'), { recursive: true });
  assert.equal(await new KnownFolder(path, { mounts: 0 }).isGone(), true);
});

test('what lies below a place to mount at is not what was mounted there', async (context) => {
  await using folder = await createTemporaryFolder();
  const at = join(folder.path, 'mounted');
  const path = join(at, 'tree');
  await mkdir(path, { recursive: true });
  const mount = async () => (await run('mount', ['-t', 'tmpfs', 'tmpfs', at])).code === 0;
  const unmount = async () => assert.equal((await run('umount', [at])).code, 0);
  if (!(await mount())) {
    context.skip('nothing can be mounted here');
    return;
  }
  let isMounted = true;
  try {
    await unmount();
    const early = new KnownFolder(path);
    const told: SeenFolder[] = [];
    early.follow((seen) => told.push(seen));
    const [before] = told;
    assert.ok(await mount());
    await mkdir(path);
    assert.equal(await early.isGone(), false);
    assert.deepEqual(told, [before, { mounts: (before?.mounts ?? 0) + 1 }]);
    const known = new KnownFolder(path);
    const { dev } = await stat(path);
    assert.deepEqual([await known.isGone(), await known.isGoneFrom(dev)], [false, false]);
    await unmount();
    isMounted = false;
    const below = (await stat(path)).dev;
    assert.deepEqual([await known.isGone(), await known.isGoneFrom(below)], [true, true]);
    assert.equal(await early.isGone(), true);
    // Nor is it for who is started now and is told of the other one, or for whom nothing is known of the place.
    const next = new KnownFolder(path, known.seen);
    assert.equal(await next.isGone(), true);
    assert.deepEqual(next.seen, known.seen);
    assert.equal(await new KnownFolder(path).isGone(), false);
    // A filesystem that is mounted meanwhile keeps the number: mounted again it has another one.
    const other = join(folder.path, 'other');
    await mkdir(other);
    assert.equal((await run('mount', ['-t', 'tmpfs', 'tmpfs', other])).code, 0);
    isMounted = await mount();
    assert.equal((await run('umount', [other])).code, 0);
    assert.equal(await known.isGone(), true);
    await mkdir(path);
    const again = (await stat(path)).dev;
    assert.notEqual(again, dev);
    assert.deepEqual([await known.isGone(), await known.isGoneFrom(again)], [false, false]);
    assert.equal(await new KnownFolder(path, known.seen).isGone(), false);
  } finally {
    if (isMounted) await unmount();
  }
});
