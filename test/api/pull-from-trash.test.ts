import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { NotOwnerError } from '../../services/core/ownership/not-owner.ts';
import { createEpoch } from '../../services/core/registry/garbage/epoch.ts';
import { createTrash } from '../../services/core/registry/garbage/trash.ts';
import type { StorageDriver } from '../../services/core/storage/driver.ts';
import { createFilesystemDriver } from '../../services/core/storage/filesystem/filesystem.ts';
import { guardWrites } from '../../services/core/storage/guarded.ts';
import { pushImage, pushManifest, startCore } from '../support/core.ts';
import { createFailingDriver } from '../support/failing-driver.ts';
import { makeImage } from '../support/images.ts';
import { createTemporaryFolder, type TemporaryFolder } from '../support/temporary-folder.ts';

const app = 'team/app';

/** Storages in which nothing can be moved. */
const stuck: Readonly<Record<string, (driver: StorageDriver) => StorageDriver>> = {
  'a full disk': (driver) => failing(driver, 'no-space', 'move'),
  'a storage that fails': (driver) => failing(driver, 'failed', 'touch'),
  "another core's tree": (driver) =>
    guardWrites(driver, {
      async before() {
        throw new NotOwnerError();
      },
      failed() {},
    }),
};

function failing(driver: StorageDriver, code: 'no-space' | 'failed', what: string): StorageDriver {
  const failing = createFailingDriver(driver);
  failing.failOn(code, (operation) => operation === what);
  return failing;
}

describe('what a collection took to the trash', () => {
  let folder: TemporaryFolder;
  let driver: StorageDriver;

  beforeEach(async () => {
    folder = await createTemporaryFolder();
    driver = await createFilesystemDriver(folder.path);
  });

  afterEach(async () => {
    await driver.close();
    await folder.remove();
  });

  for (const [what, wrap] of Object.entries(stuck)) {
    test(`is pulled from there where it cannot come back: ${what}`, async () => {
      const image = makeImage();
      const [layer] = image.blobs;
      assert.ok(layer);
      {
        await using core = await startCore({ driver });
        await pushImage(core, app, image, 'latest');
      }
      const trash = createTrash(driver);
      const epoch = createEpoch(new Date());
      const { digest } = image.descriptor;
      await trash.discard(epoch, { kind: 'manifest', repository: app as never, digest });
      for (const { descriptor } of image.blobs) {
        const { digest } = descriptor;
        await trash.discard(epoch, { kind: 'layer', repository: app as never, digest });
        await trash.discard(epoch, { kind: 'blob', digest });
      }
      await using core = await startCore({ driver: wrap(driver) });
      const manifest = await core.send('GET', `/v2/${app}/manifests/${digest}`);
      assert.deepEqual([manifest.status, manifest.text], [200, image.bytes.toString()]);
      const blob = await core.send('GET', `/v2/${app}/blobs/${layer.descriptor.digest}`);
      assert.equal(blob.status, 200);
      const again = await pushManifest(core, app, image, 'again');
      assert.equal(again.status, 503, 'nothing refers to what will be gone');
    });
  }
});
