import assert from 'node:assert/strict';
import {
  chmod,
  link,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises';
import { platform } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { storageDriverContract } from '../../../../test/contract/storage-driver.ts';
import { run } from '../../../../test/support/run.ts';
import {
  createTemporaryFolder,
  type TemporaryFolder,
} from '../../../../test/support/temporary-folder.ts';
import { waitFor } from '../../../../test/support/wait-for.ts';
import { readAll } from '../../registry/small-files.ts';
import { type StorageDriver, StorageError, type StoragePath } from '../driver.ts';
import { createFilesystemDriver } from './filesystem.ts';

storageDriverContract({
  name: 'filesystem',
  async create() {
    const folder = await createTemporaryFolder();
    return {
      driver: await createFilesystemDriver(folder.path),
      leftovers: folder.files,
      destroy: folder.remove,
    };
  },
});

describe('the filesystem driver', () => {
  let folder: TemporaryFolder;
  let driver: StorageDriver;
  const file = '/docker/registry/v2/some/file' as StoragePath;

  beforeEach(async () => {
    folder = await createTemporaryFolder();
    driver = await createFilesystemDriver(folder.path);
  });

  afterEach(async () => {
    await driver.close();
    await folder.remove();
  });

  test('a file that is open is read from any position, also when its path is gone', async () => {
    await driver.put(file, Buffer.from('abcdef'));
    const opened = await driver.openFile?.(file);
    assert.ok(opened !== undefined);
    try {
      await driver.remove(file);
      const buffer = Buffer.alloc(4);
      assert.equal((await opened.read(buffer, 1, 3, 2)).bytesRead, 3);
      assert.equal(buffer.subarray(1).toString(), 'cde');
      assert.equal((await opened.read(buffer, 0, 4, 4)).bytesRead, 2);
      assert.equal((await opened.read(buffer, 0, 4, 6)).bytesRead, 0);
    } finally {
      await opened.close();
    }
    const absent = (error: unknown) => error instanceof StorageError && error.code === 'not-found';
    await assert.rejects(async () => void (await driver.openFile?.(file)), absent);
  });

  test('never makes a tree again that went away under it', async () => {
    await driver.put(file, Buffer.from('text'));
    await rename(join(folder.path, 'docker'), join(folder.path, 'away'));
    const isGone = (error: unknown) =>
      error instanceof StorageError &&
      error.code === 'failed' &&
      /v2 is gone; put it back/.test(error.message);
    await assert.rejects(driver.put(file, Buffer.from('more')), isGone);
    const other = '/docker/registry/v2/other/file' as StoragePath;
    await assert.rejects(driver.put(other, Buffer.from('more')), isGone);
    await assert.rejects(driver.openWriter(other), isGone);
    assert.deepEqual(await readdir(folder.path), ['away']);
    await rename(join(folder.path, 'away'), join(folder.path, 'docker'));
    await driver.put(other, Buffer.from('more'));
    assert.equal((await readAll(driver, other)).toString(), 'more');
  });

  test('changes nothing below a place to mount at once its filesystem is unmounted', async (context) => {
    const at = join(folder.path, 'mounted');
    const below = await createFilesystemDriver(at);
    await below.put(file, Buffer.from('below'));
    if ((await run('mount', ['-t', 'tmpfs', 'tmpfs', at])).code !== 0) {
      context.skip('nothing can be mounted here');
      return;
    }
    let isMounted = true;
    try {
      const mounted = await createFilesystemDriver(at);
      await mounted.put(file, Buffer.from('mounted'));
      assert.equal((await run('umount', [at])).code, 0);
      isMounted = false;
      const isGone = { message: /v2 is gone; put it back/ };
      const other = '/docker/registry/v2/some/other' as StoragePath;
      await assert.rejects(mounted.put(file, Buffer.from('more')), isGone);
      const deep = '/docker/registry/v2/a/b/c' as StoragePath;
      for (const path of [other, deep]) {
        await assert.rejects(mounted.openWriter(path), isGone);
        await assert.rejects(mounted.move(file, path), isGone);
        await assert.rejects(mounted.rename(file, path), isGone);
      }
      await assert.rejects(mounted.remove(file), isGone);
      await assert.rejects(async () => await mounted.touch?.(file), isGone);
      await assert.rejects(async () => await mounted.prune?.(file), isGone);
      const before = mounted.tree?.seen;
      await assert.rejects(createFilesystemDriver(at, { before }), isGone);
      assert.equal((await readAll(below, file)).toString(), 'below');
      const found = await readdir(join(at, 'docker/registry/v2'), { recursive: true });
      assert.deepEqual(found.filter((name) => !name.startsWith('_portcullis')).sort(), [
        'some',
        'some/file',
      ]);
    } finally {
      if (isMounted) await run('umount', [at]);
    }
  });

  test('of a process that finds its tree away is not made either, nor is it an empty registry', async () => {
    const options = { before: { mounts: 0 } };
    const root = join(folder.path, 'unmounted');
    await assert.rejects(createFilesystemDriver(root, options), /v2 is gone; put it back/);
    const reader = await createFilesystemDriver(root, { ...options, readOnly: true });
    assert.equal(await reader.tree?.isGone(), true);
    await assert.rejects(readdir(root), { code: 'ENOENT' });
    // One that was never there is none that is gone.
    const empty = await createFilesystemDriver(root, { readOnly: true });
    assert.equal(await empty.tree?.isGone(), false);
  });

  test('a storage path is the same path below the root', async () => {
    await driver.put(file, Buffer.from('text'));
    assert.equal(await readFile(join(folder.path, file), 'utf8'), 'text');
    assert.deepEqual(await folder.files(), ['docker/registry/v2/some/file']);
  });

  test('a file with two names, as a move leaves it that is cut off, has the one that it is moved to', async () => {
    const other = '/docker/registry/v2/some/other' as StoragePath;
    await driver.put(file, Buffer.from('text'));
    await link(join(folder.path, file), join(folder.path, other));
    await driver.move(file, other);
    assert.deepEqual(await folder.files(), ['docker/registry/v2/some/other']);
    assert.equal(await readFile(join(folder.path, other), 'utf8'), 'text');
  });

  test('a root that does not exist yet is made', async () => {
    const root = join(folder.path, 'not/yet');
    const fresh = await createFilesystemDriver(root);
    await fresh.put(file, Buffer.from('x'));
    assert.equal(await readFile(join(root, file), 'utf8'), 'x');
  });

  test('what is made of a new tree is for its owner alone', async () => {
    const upload = '/docker/registry/v2/repositories/a/_uploads/1/data' as StoragePath;
    await driver.put(file, Buffer.from('text'));
    await (await driver.openWriter(upload)).close();
    await driver.move(upload, '/docker/registry/v2/blobs/b/data' as StoragePath);
    for (const entry of await readdir(folder.path, { recursive: true })) {
      const { mode } = await stat(join(folder.path, entry));
      assert.equal(mode & 0o077, 0, entry);
    }
  });

  for (const [tree, madeFolder, madeFile] of [
    [0o755, 0o755, 0o644],
    [0o750, 0o750, 0o640],
    [0o700, 0o700, 0o600],
  ] as const) {
    test(`a tree whose folder is ${tree.toString(8)} stays as it is`, async () => {
      const root = join(folder.path, 'old');
      await mkdir(join(root, 'docker/registry/v2'), { recursive: true });
      await chmod(join(root, 'docker/registry/v2'), tree);
      const old = await createFilesystemDriver(root);
      await old.put(file, Buffer.from('text'));
      const upload = '/docker/registry/v2/some/upload/data' as StoragePath;
      await (await old.openWriter(upload)).close();
      const modeOf = async (path: string) => (await stat(join(root, path))).mode & 0o777;
      for (const path of [file, upload]) assert.equal(await modeOf(path), madeFile, path);
      for (const path of ['some', 'some/upload', '_portcullis/tmp']) {
        assert.equal(await modeOf(`docker/registry/v2/${path}`), madeFolder, path);
      }
    });
  }

  test('a root that cannot be a folder is refused in one sentence that names it', async () => {
    const root = join(folder.path, 'file');
    await writeFile(root, '');
    await assert.rejects(createFilesystemDriver(root), (error: Error) => {
      assert.ok(error.message.startsWith(`storage.filesystem.rootdirectory: ${root}: `));
      assert.ok(!error.message.includes('\n'));
      return true;
    });
  });

  test('a put that fails leaves no temporary file and names the path', async () => {
    await driver.put(file, Buffer.from('x'));
    await mkdir(join(folder.path, '/docker/registry/v2/folder/in-the-way'), { recursive: true });
    const taken = '/docker/registry/v2/folder' as StoragePath;
    await assert.rejects(driver.put(taken, Buffer.from('x')), (error) => {
      assert.ok(error instanceof StorageError);
      assert.equal(error.path, taken);
      return true;
    });
    assert.deepEqual(await folder.files(), ['docker/registry/v2/some/file']);
  });

  test('a directory that vanished behind our back is made again', async () => {
    await driver.put(file, Buffer.from('1'));
    await rm(join(folder.path, '/docker/registry/v2/some'), { recursive: true });
    await driver.put(file, Buffer.from('2'));
    assert.equal(await readFile(join(folder.path, file), 'utf8'), '2');
  });

  test('a read that is left early gives its file back', {
    skip: platform() === 'linux' ? false : 'needs /proc',
  }, async () => {
    await driver.put(file, Buffer.alloc(3 * 1024 * 1024));
    for (let round = 0; round < 5; round += 1) {
      for await (const _ of await driver.read(file)) break;
    }
    // A stream that is destroyed closes its file a moment later.
    await waitFor('all files closed', async () => !(await openFilesBelow(folder.path)).length);
  });

  test('a writer that is closed gives its file back', {
    skip: platform() === 'linux' ? false : 'needs /proc',
  }, async () => {
    const writer = await driver.openWriter(file);
    assert.equal((await openFilesBelow(folder.path)).length, 1);
    await writer.close();
    assert.deepEqual(await openFilesBelow(folder.path), []);
  });
});

async function openFilesBelow(root: string): Promise<string[]> {
  const links = await readdir('/proc/self/fd');
  const targets = await Promise.all(
    links.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')),
  );
  return targets.filter((target) => target.startsWith(root));
}
