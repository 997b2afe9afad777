import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readlinkSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { mock, test } from 'node:test';
import { digestOf } from '#libs/oci/digest.ts';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { paths } from '../../services/core/registry/paths.ts';
import { createFilesystemDriver } from '../../services/core/storage/filesystem/filesystem.ts';
import { openRegistry } from '../support/open-registry.ts';
import { createTemporaryFolder } from '../support/temporary-folder.ts';
import { chunkOf } from '../support/upload-chunks.ts';

const app = parseRepositoryName('team/app');
const bytes = randomBytes(9000);
const digest = digestOf(bytes);

for (const how of [
  'the sync of its folder fails (EIO)',
  'the core is killed between rename and sync',
] as const) {
  test(`a blob is acknowledged when its name is synced, though before: ${how}`, async () => {
    await using folder = await createTemporaryFolder();
    const driver = await createFilesystemDriver(folder.path);
    const blobFolder = dirname(join(folder.path, paths.blob(digest)));
    const handle = await open(folder.path);
    const prototype = Object.getPrototypeOf(handle) as FileHandle;
    await handle.close();
    const real = prototype.sync;
    let bad = true;
    const stuck = Promise.withResolvers<void>();
    const synced: string[] = [];
    mock.method(prototype, 'sync', async function (this: FileHandle) {
      const path = readlinkSync(`/proc/self/fd/${this.fd}`);
      if (path === blobFolder && bad) {
        bad = false;
        stuck.resolve();
        if (how.includes('killed')) await new Promise(() => {});
        throw Object.assign(new Error('EIO: i/o error, fsync'), { code: 'EIO' });
      }
      await real.call(this);
      synced.push(path);
    });
    const first = openRegistry(driver);
    const { id } = await first.uploads.start(app, '');
    const key = { repository: app, id, subject: '' };
    await first.uploads.append(key, chunkOf(bytes));
    const killed = first.uploads.complete(key, digest);
    killed.catch(() => {});
    await stuck.promise;
    if (how.includes('EIO')) await assert.rejects(killed, { code: 'failed' });
    // Another process: it remembers nothing of folders either.
    const again = openRegistry(await createFilesystemDriver(folder.path));
    await again.uploads.complete(key, digest);
    assert.ok(await again.blobs.has(app, digest), '201');
    mock.restoreAll();
    assert.ok(synced.includes(blobFolder), 'the folder with the blob was synced before 201');
  });
}
