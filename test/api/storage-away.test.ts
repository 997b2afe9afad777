import assert from 'node:assert/strict';
import { mkdir, readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { createFilesystemDriver } from '../../services/core/storage/filesystem/filesystem.ts';
import { type Core, pushImage, startCore } from '../support/core.ts';
import { type ImageFixture, makeImage } from '../support/images.ts';
import { createTemporaryFolder, type TemporaryFolder } from '../support/temporary-folder.ts';

describe('a core whose storage is away', () => {
  let folder: TemporaryFolder;
  let core: Core;
  let image: ImageFixture;

  beforeEach(async () => {
    folder = await createTemporaryFolder();
    image = makeImage();
  });
  afterEach(async () => {
    await core.close();
    await folder.remove();
  });

  const start = async (readOnly = false) => {
    const driver = await createFilesystemDriver(folder.path, { readOnly });
    core = await startCore({ driver });
  };
  const away = () => rename(join(folder.path, 'docker'), join(folder.path, 'away'));
  const statusOf = async (path: string) => (await core.send('GET', `/v2/${path}`)).status;
  const paths = () => [
    '_catalog',
    'team/app/tags/list',
    `team/app/referrers/${image.descriptor.digest}`,
    'team/app/manifests/v1',
    `team/app/blobs/${image.blobs[0]?.descriptor.digest}`,
  ];
  const statuses = async () => await Promise.all(paths().map(statusOf));

  test('says so, and neither that something is unknown nor that there is nothing', async () => {
    await start();
    await pushImage(core, 'team/app', image, 'v1');
    assert.deepEqual(await statuses(), [200, 200, 200, 200, 200]);
    await away();
    assert.deepEqual(await statuses(), [503, 503, 503, 503, 503]);
    assert.equal((await core.send('POST', '/v2/team/app/blobs/uploads/')).status, 503);
    assert.deepEqual(await readdir(folder.path), ['away']);
    await rename(join(folder.path, 'away'), join(folder.path, 'docker'));
    assert.deepEqual(await statuses(), [200, 200, 200, 200, 200]);
  });

  test('says so also if there was no tree when it started', async () => {
    await start(true);
    assert.deepEqual(await statuses(), [200, 404, 200, 404, 404]);
    await mkdir(join(folder.path, 'docker/registry/v2'), { recursive: true });
    assert.deepEqual(await statuses(), [200, 404, 200, 404, 404]);
    await away();
    assert.deepEqual(await statuses(), [503, 503, 503, 503, 503]);
  });
});
