import assert from 'node:assert/strict';
import { chmod, mkdir, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import type { Instance } from '#libs/internal/instance.ts';
import { treeIdentity } from '#libs/internal/tree-identity.ts';
import { createRecordingLog } from '../../../test/support/recording-log.ts';
import { createTemporaryFolder } from '../../../test/support/temporary-folder.ts';
import { waitFor } from '../../../test/support/wait-for.ts';
import { createSharedTree } from './shared-tree.ts';

const near = { target: { socketPath: '/core.sock' } } as unknown as Instance;
const far = { target: { host: '192.0.2.1' } } as unknown as Instance;
const path = `blobs/sha256/ab/${'ab'.repeat(32)}/data`;

test('a tree that is told to be shared is asked for of all cores', async () => {
  const { log } = createRecordingLog();
  const tree = createSharedTree('/nowhere', 'on', log);
  assert.deepEqual([tree.nameFor(near, 'read'), tree.nameFor(far, 'read')], ['*', '*']);
  // Cores may know its files by other numbers.
  assert.deepEqual(
    [tree.nameFor(near, 'write'), tree.nameFor(far, 'write')],
    [undefined, undefined],
  );
});

test('files that are not ours to read are not asked for again for a while, and that is told once', async () => {
  await using folder = await createTemporaryFolder();
  const file = join(folder.path, path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, 'x');
  await chmod(folder.path, 0o755);
  await chmod(file, 0);
  const { log, messages } = createRecordingLog();
  const tree = createSharedTree(folder.path, 'on', log);
  assert.equal(tree.nameFor(near, 'read'), '*');
  // Root may read everything.
  const isRoot = process.getuid?.() === 0;
  if (isRoot) process.seteuid?.(65_534);
  try {
    for (let attempt = 0; attempt < 2; attempt += 1) {
      await assert.rejects(tree.open({ path, size: 1, ranges: [] }), { code: 'EACCES' });
    }
  } finally {
    if (isRoot) process.seteuid?.(0);
  }
  assert.equal(tree.nameFor(near, 'read'), undefined);
  assert.equal(messages().filter((line) => line.includes('the cores send the bytes')).length, 1);
});

test('a tree is known before anybody asks for a blob, by device and inode, to cores of this machine', async () => {
  await using folder = await createTemporaryFolder();
  const { log } = createRecordingLog();
  const tree = createSharedTree(folder.path, 'auto', log);
  const name = await treeIdentity(folder.path);
  await waitFor('the tree to be known', () => tree.nameFor(near, 'read') !== undefined);
  assert.deepEqual([tree.nameFor(near, 'read'), tree.nameFor(far, 'read')], [name, undefined]);
});

test('a tree that is not ours to write to is read all the same', {
  skip: process.getuid?.() !== 0,
}, async () => {
  await using folder = await createTemporaryFolder();
  const name = 'repositories/a/_uploads/1/open.1';
  const file = join(folder.path, name);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, '');
  await chmod(folder.path, 0o755);
  const { dev, ino } = await stat(file, { bigint: true });
  const { log, messages } = createRecordingLog();
  const tree = createSharedTree(folder.path, 'auto', log);
  const known = await waitFor('the tree to be known', () => tree.nameFor(near, 'write'));
  const wanted = { path: name, identity: `${dev}:${ino}`, algorithm: 'sha256' } as const;
  await using opened = await tree.openToWrite(wanted);
  assert.ok(opened.fd >= 0);
  process.seteuid?.(65_534);
  try {
    await assert.rejects(tree.openToWrite(wanted), { code: 'EACCES' });
  } finally {
    process.seteuid?.(0);
  }
  assert.deepEqual([tree.nameFor(near, 'write'), tree.nameFor(near, 'read')], [undefined, known]);
  assert.equal(messages().filter((line) => line.includes('the cores take the bytes')).length, 1);
});
