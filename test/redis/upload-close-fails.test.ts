import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf } from '#libs/oci/digest.ts';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { paths } from '../../services/core/registry/paths.ts';
import { readAll } from '../../services/core/registry/small-files.ts';
import { type StorageDriver, StorageError } from '../../services/core/storage/driver.ts';
import { createFilesystemDriver } from '../../services/core/storage/filesystem/filesystem.ts';
import { openRegistry } from '../support/open-registry.ts';
import { createTemporaryFolder } from '../support/temporary-folder.ts';
import { chunkOf } from '../support/upload-chunks.ts';

const app = parseRepositoryName('team/app');
const bytes = randomBytes(9000);

/**
 * A mount that tells of bytes which it could not write when the file is closed (close(2): "especially common with NFS and
 * quotas"), once: the range 3000..3999 never arrived.
 */
test('bytes that were dropped when a file was closed are no blob', async () => {
  await using folder = await createTemporaryFolder();
  const real = await createFilesystemDriver(folder.path);
  let fail = false;
  const driver: StorageDriver = new Proxy(real, {
    get(target, name) {
      if (name !== 'openWriter') {
        const member: unknown = Reflect.get(target, name);
        return typeof member === 'function' ? member.bind(target) : member;
      }
      return async (...[path, how]: Parameters<StorageDriver['openWriter']>) => {
        const writer = await real.openWriter(path, how);
        return {
          get size() {
            return writer.size;
          },
          write: (b: Uint8Array) => writer.write(b),
          sync: () => writer.sync(),
          async close() {
            await writer.close();
            if (!fail || !path.includes('/open.')) return;
            fail = false;
            const handle = await open(join(folder.path, path), 'r+');
            await handle.write(Buffer.alloc(1000), 0, 1000, 3000);
            await handle.close();
            throw new StorageError('failed', path, { message: 'EIO: close' });
          },
        };
      };
    },
  });
  const { uploads } = openRegistry(driver);
  const { id } = await uploads.start(app, '');
  const key = { repository: app, id, subject: '' };
  fail = true;
  await assert.rejects(uploads.append(key, chunkOf(bytes, { locationOffset: 0 })), {
    code: 'failed',
  });
  const outcome = await uploads.complete(key, digestOf(bytes)).then(
    () => '201',
    (e: { code: string }) => e.code,
  );
  if (outcome === '201') {
    const stored = await readAll(real, paths.blob(digestOf(bytes)));
    assert.equal(digestOf(stored), digestOf(bytes), 'the blob is what its name says');
  }
});
