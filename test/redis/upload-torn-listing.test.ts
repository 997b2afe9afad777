import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { paths } from '../../services/core/registry/paths.ts';
import { createFilesystemDriver } from '../../services/core/storage/filesystem/filesystem.ts';
import { createFailingDriver } from '../support/failing-driver.ts';
import { openRegistry } from '../support/open-registry.ts';
import { createTemporaryFolder } from '../support/temporary-folder.ts';
import { chunkOf } from '../support/upload-chunks.ts';

const app = parseRepositoryName('team/app');
const bytes = randomBytes(9000);

test('a listing that misses the file being renamed is not believed beside a leftover of a lower number', async () => {
  await using folder = await createTemporaryFolder();
  const real = await createFilesystemDriver(folder.path);
  const failing = createFailingDriver(real);
  const first = openRegistry(failing);
  const { id } = await first.uploads.start(app, '');
  const key = { repository: app, id, subject: '' };
  const upload = paths.upload(app, id);
  await first.uploads.append(key, chunkOf(bytes.subarray(0, 3000), { locationOffset: 0 }));
  // The core was killed while it wrote.
  await real.rename(paths.below(upload, 'data.1'), paths.below(upload, 'open.1'));
  const second = openRegistry(failing);
  // It is copied, and what was copied cannot be removed (or the second core is killed here).
  failing.failOn('failed', (operation, path) => operation === 'remove' && path.endsWith('open.1'));
  await assert.rejects(
    second.uploads.append(key, chunkOf(bytes.subarray(3000, 6000), { locationOffset: 3000 })),
  );
  failing.recover();
  assert.equal(
    await second.uploads.append(key, chunkOf(bytes.subarray(3000, 6000), { locationOffset: 3000 })),
    6000,
  );
  // A third core takes over while the second one opens or closes its file: one listing misses it, as in upload-recovery.test.ts.
  const list = real.list.bind(real);
  let listings = 0;
  const third = openRegistry(
    new Proxy(real, {
      get(target, name) {
        if (name !== 'list') {
          const m: unknown = Reflect.get(target, name);
          return typeof m === 'function' ? m.bind(target) : m;
        }
        return async (path: never, page: never) => {
          const names = await list(path, page);
          if (path !== upload) return names;
          listings += 1;
          // find, then takeOver's first, then its second
          return listings === 3 ? names.filter((n) => !/^(data|open)\.3$/.test(n)) : names;
        };
      },
    }),
  );
  await third.uploads
    .append(key, chunkOf(bytes.subarray(6000), { locationOffset: 6000 }))
    .then(
      String,
      (e: { code: string; detail: unknown }) => `${e.code} ${JSON.stringify(e.detail)}`,
    );
  const { offset } = await openRegistry(real).uploads.status(key);
  assert.ok(offset >= 6000, `6000 bytes were acknowledged, ${offset} are left`);
});
