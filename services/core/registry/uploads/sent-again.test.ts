import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { digestOf } from '#libs/oci/digest.ts';
import type { RegistryError } from '#libs/oci/errors.ts';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { openRegistry } from '../../../../test/support/open-registry.ts';
import {
  createTemporaryFolder,
  type TemporaryFolder,
} from '../../../../test/support/temporary-folder.ts';
import { brokenChunkOf, chunkOf } from '../../../../test/support/upload-chunks.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import { createFilesystemDriver } from '../../storage/filesystem/filesystem.ts';
import { paths } from '../paths.ts';
import type { Registry } from '../registry.ts';
import { readAll } from '../small-files.ts';
import type { UploadKey } from './session-access.ts';
import type { UploadService } from './upload-service.ts';

const app = parseRepositoryName('team/app');
const bytes = randomBytes(10_000);
const digest = digestOf(bytes);

describe('an upload whose chunks come with the offset of their address', () => {
  let folder: TemporaryFolder;
  let driver: StorageDriver;
  let registry: Registry;
  let uploads: UploadService;

  beforeEach(async () => {
    folder = await createTemporaryFolder();
    driver = await createFilesystemDriver(folder.path);
    registry = openRegistry(driver);
    uploads = registry.uploads;
  });

  afterEach(async () => {
    await driver.close();
    await folder.remove();
  });

  async function start(): Promise<UploadKey> {
    const { id } = await uploads.start(app, '');
    return { repository: app, id, subject: '' };
  }

  async function assertStored(content: Buffer): Promise<void> {
    assert.ok((await readAll(driver, paths.blob(digestOf(content)))).equals(content));
    assert.ok(await registry.blobs.has(app, digestOf(content)));
  }

  test('writes nothing for a client that left while it was found to be no repetition', async () => {
    const key = await start();
    const long = randomBytes(1_000_000);
    await uploads.append(key, chunkOf(long));
    const leaving = new AbortController();
    const another = Buffer.from(long);
    another[another.length - 1] = ~(another.at(-1) ?? 0);
    const source = async function* () {
      yield another.subarray(0, -1);
      leaving.abort(new Error('gone'));
      yield another.subarray(-1);
    };
    const requester = { id: '', signal: leaving.signal };
    await assert.rejects(uploads.append(key, { source, locationOffset: 0 }, requester));
    assert.equal((await uploads.status(key)).offset, long.length);
  });

  test('takes a chunk once that is sent again to the same address, whole or broken off', async () => {
    const locationOffset = 4000;
    const rest = bytes.subarray(locationOffset);
    const attempts = [brokenChunkOf(rest.subarray(0, 3000)), chunkOf(rest), brokenChunkOf(rest)];
    for (const cores of ['the same core', 'another core'] as const) {
      for (const attempt of attempts) {
        const key = await start();
        await uploads.append(key, chunkOf(bytes.subarray(0, locationOffset)));
        await uploads.append(key, { ...attempt, locationOffset }).catch(() => {});
        const again = cores === 'the same core' ? registry : openRegistry(driver);
        const pieces = [rest.subarray(0, 1), rest.subarray(1, 5000), rest.subarray(5000)];
        assert.equal(
          await again.uploads.append(key, chunkOf(pieces, { locationOffset })),
          10_000,
          cores,
        );
        await again.uploads.complete(key, digest);
        await assertStored(bytes);
        await registry.blobs.remove(app, digest);
      }
    }
  });

  test('goes on from what its client was told, also while a chunk is on its way', async () => {
    for (const cores of ['the same core', 'another core'] as const) {
      const key = await start();
      const [taken, left] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const source = async function* (release: AbortSignal) {
        yield bytes.subarray(0, 3000);
        taken.resolve();
        release.addEventListener('abort', () => left.resolve());
        await left.promise;
      };
      const hanging = uploads
        .append(key, { source, locationOffset: 0, length: 9000 })
        .catch(() => {});
      await taken.promise;
      const other = cores === 'the same core' ? registry : openRegistry(driver);
      assert.equal((await other.uploads.status(key)).offset, 3000, cores);
      const rest = chunkOf(bytes.subarray(3000), { locationOffset: 3000 });
      assert.equal(await other.uploads.append(key, rest), 10_000, cores);
      await other.uploads.complete(key, digest);
      left.resolve();
      await hanging;
      await assertStored(bytes);
      await registry.blobs.remove(app, digest);
    }
  });

  test('loses nothing to a late attempt at a chunk that came whole meanwhile', async () => {
    const key = await start();
    await uploads.append(key, chunkOf(bytes, { locationOffset: 0 }));
    await assert.rejects(
      uploads.append(key, { ...brokenChunkOf(bytes.subarray(0, 3000)), locationOffset: 0 }),
    );
    const short = chunkOf(bytes.subarray(0, 3000), { locationOffset: 0 });
    assert.equal(await uploads.append(key, short), 3000, 'behind what it sent');
    assert.equal((await uploads.status(key)).offset, 10_000);
    await uploads.complete(key, digest);
    await assertStored(bytes);
  });

  test('refuses a chunk beyond its end, and one whose Content-Range begins before it', async () => {
    const key = await start();
    await uploads.append(key, chunkOf(bytes, { locationOffset: 0 }));
    for (const chunk of [
      chunkOf(bytes, { locationOffset: 10_001 }),
      chunkOf(bytes, { start: 9999 }),
    ]) {
      await assert.rejects(uploads.append(key, chunk), (error: RegistryError) => {
        assert.deepEqual([error.code, error.detail], ['RANGE_INVALID', { offset: 10_000 }]);
        return true;
      });
    }
    await uploads.complete(key, digest);
    await assertStored(bytes);
  });

  test('takes the next chunks of a client that keeps to its first address', async () => {
    // Each begins as the first does, and goes on otherwise: at once, in the middle, with its last byte.
    const chunks = [10_000, 0, 5000, 9999].map((common) => {
      const chunk = Buffer.concat([bytes.subarray(0, common), randomBytes(10_000 - common)]);
      if (common < chunk.length) chunk[common] = ~(bytes[common] ?? 0);
      return chunk;
    });
    const key = await start();
    for (const chunk of chunks) {
      const pieces = [chunk.subarray(0, 3), chunk.subarray(3, 5001), chunk.subarray(5001)];
      await uploads.append(key, chunkOf(pieces, { locationOffset: 0 }));
    }
    const whole = Buffer.concat(chunks);
    assert.equal((await uploads.status(key)).offset, whole.length);
    await uploads.complete(key, digestOf(whole));
    await assertStored(whole);
  });

  test('goes on from what its client was told, at the address it had before', async () => {
    const key = await start();
    const broken = { ...brokenChunkOf(bytes.subarray(0, 3000)), locationOffset: 0 };
    await assert.rejects(uploads.append(key, broken));
    const { offset } = await uploads.status(key);
    await uploads.complete(key, digest, chunkOf(bytes.subarray(offset), { locationOffset: 0 }));
    await assertStored(bytes);
  });
});
