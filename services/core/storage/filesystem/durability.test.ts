import assert from 'node:assert/strict';
import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { platform } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, mock, test } from 'node:test';
import {
  createTemporaryFolder,
  type TemporaryFolder,
} from '../../../../test/support/temporary-folder.ts';
import type { StorageDriver, StoragePath } from '../driver.ts';
import { createFilesystemDriver } from './filesystem.ts';

const file = '/docker/registry/v2/some/file' as StoragePath;
const other = '/docker/registry/v2/other/file' as StoragePath;

/** What was synced, and what there was at that moment. */
interface Sync {
  path: string;
  /** Of a file: its bytes. */
  content: string | undefined;
  /** Whether the two files were in their places. */
  there: { file: boolean; other: boolean };
}

const where = { skip: platform() === 'linux' ? false : 'needs /proc' };

describe('what a filesystem was asked for is on the disk when it resolves', where, () => {
  let folder: TemporaryFolder;
  let driver: StorageDriver;
  let syncs: Sync[];

  beforeEach(async () => {
    folder = await createTemporaryFolder();
    driver = await createFilesystemDriver(folder.path);
    syncs = [];
    const handle = await open(folder.path);
    const prototype = Object.getPrototypeOf(handle) as FileHandle;
    await handle.close();
    for (const name of ['datasync', 'sync'] as const) {
      const real = prototype[name];
      mock.method(prototype, name, async function (this: FileHandle) {
        const path = readlinkSync(`/proc/self/fd/${this.fd}`);
        const isFile = (await this.stat()).isFile();
        await real.call(this);
        const there = { file: existsSync(at(file)), other: existsSync(at(other)) };
        syncs.push({ path, content: isFile ? readFileSync(path, 'utf8') : undefined, there });
      });
    }
  });

  afterEach(async () => {
    mock.restoreAll();
    await driver.close();
    await folder.remove();
  });

  const at = (path: StoragePath) => join(folder.path, path);
  const ofFolder = (path: string, isThere: (there: Sync['there']) => boolean) =>
    syncs.some((sync) => sync.path === path && isThere(sync.there));

  /** Each folder's entry in the one above it, up to the root. */
  function assertFoldersSynced(path: StoragePath): void {
    for (let parent = dirname(at(path)); parent !== folder.path; parent = dirname(parent)) {
      const above = dirname(parent);
      assert.ok(
        syncs.some((sync) => sync.path === above),
        `${above} is synced`,
      );
    }
  }

  test('a file that is put: its bytes before it is in its place, and its place after', async () => {
    await driver.put(file, Buffer.from('content'));
    const [bytes] = syncs.filter(({ content }) => content !== undefined);
    assert.equal(bytes?.content, 'content');
    assert.equal(bytes?.there.file, false);
    assert.ok(ofFolder(dirname(at(file)), (there) => there.file));
    assertFoldersSynced(file);
  });

  test('a file that is put in the place of another', async () => {
    await driver.put(file, Buffer.from('content'));
    syncs = [];
    await driver.put(file, Buffer.from('new'));
    assert.equal(syncs[0]?.content, 'new');
    assert.ok(ofFolder(dirname(at(file)), (there) => there.file));
  });

  test('what is written piece by piece, once that is asked for', async () => {
    const writer = await driver.openWriter(file);
    await writer.write(Buffer.from('content'));
    await writer.sync();
    await writer.close();
    assert.deepEqual(
      syncs.filter(({ path }) => path === at(file)).map(({ content }) => content),
      ['content'],
    );
  });

  test('a file that is moved: where it is then', async () => {
    await driver.put(file, Buffer.from('content'));
    await driver.move(file, other);
    assert.ok(ofFolder(dirname(at(other)), (there) => there.other && !there.file));
    assertFoldersSynced(other);
  });

  test('a file that is removed: that it is not there', async () => {
    await driver.put(file, Buffer.from('content'));
    syncs = [];
    await driver.remove(file);
    assert.ok(ofFolder(dirname(at(file)), (there) => !there.file));
  });
});
