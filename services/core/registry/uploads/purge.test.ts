import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { createUploadId } from '#libs/oci/upload-id.ts';
import { openRegistry } from '../../../../test/support/open-registry.ts';
import {
  createTemporaryFolder,
  type TemporaryFolder,
} from '../../../../test/support/temporary-folder.ts';
import { chunkOf } from '../../../../test/support/upload-chunks.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import { createFilesystemDriver } from '../../storage/filesystem/filesystem.ts';
import { paths } from '../paths.ts';
import type { UploadService } from './upload-service.ts';

const app = parseRepositoryName('team/app');
const hour = 3_600_000;

describe('purging uploads', () => {
  let folder: TemporaryFolder;
  let driver: StorageDriver;
  let uploads: UploadService;
  let now: Date;

  beforeEach(async () => {
    folder = await createTemporaryFolder();
    driver = await createFilesystemDriver(folder.path);
    now = new Date('2026-01-01T12:00:00Z');
    uploads = restart();
  });

  afterEach(async () => {
    await folder.remove();
  });

  const restart = () => openRegistry(driver, { now: () => now }).uploads;
  async function begin(openedAgo: number) {
    const start = now;
    now = new Date(start.getTime() - openedAgo);
    const { id } = await uploads.start(app, 'a');
    now = start;
    const key = { repository: app, id, subject: 'a' };
    await uploads.append(key, chunkOf(Buffer.from('bytes')));
    return key;
  }
  const purge = (dryRun = false) => uploads.purge(new Date(now.getTime() - 24 * hour), { dryRun });

  test('ends those that are too old, and leaves the others', async () => {
    const [old, young] = [await begin(25 * hour), await begin(23 * hour)];
    assert.equal(await purge(), 1);
    await assert.rejects(uploads.status(old), { code: 'BLOB_UPLOAD_UNKNOWN' });
    assert.equal((await uploads.status(young)).offset, 5);
    assert.deepEqual(
      (await folder.files()).filter((path) => path.includes(old.id)),
      [],
    );
  });

  test('counts only, when it is a rehearsal', async () => {
    const old = await begin(25 * hour);
    assert.equal(await purge(true), 1);
    assert.equal((await uploads.status(old)).offset, 5);
  });

  test('finds what an earlier core or another registry left', async () => {
    await begin(25 * hour);
    const theirs = createUploadId();
    await driver.put(paths.uploadStartedAt(app, theirs), Buffer.from('2025-12-30T00:00:00Z'));
    uploads = restart();
    assert.equal(await purge(), 2);
    assert.deepEqual(await folder.files(), []);
  });

  test('goes by the age of the folder where nothing else tells', async () => {
    const id = createUploadId();
    await driver.put(paths.uploadFile(app, id, { kind: 'session', fence: 0 }), Buffer.from('{}'));
    now = new Date(Date.now());
    assert.equal(await purge(), 0);
    now = new Date(Date.now() + 25 * hour);
    assert.equal(await purge(), 1);
  });

  test('leaves blobs, links and what is no upload alone', async () => {
    const key = await begin(25 * hour);
    const { digest } = await uploads.status(key);
    assert.ok(digest !== undefined);
    await uploads.complete(key, digest);
    const before = await folder.files();
    assert.equal(await purge(), 0);
    assert.deepEqual(await folder.files(), before);
  });
});
