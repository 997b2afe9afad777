import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, test } from 'node:test';
import fc from 'fast-check';
import { digestOf } from '#libs/oci/digest.ts';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { createUploadId } from '#libs/oci/upload-id.ts';
import { openRegistry } from '../../../../test/support/open-registry.ts';
import {
  createTemporaryFolder,
  type TemporaryFolder,
} from '../../../../test/support/temporary-folder.ts';
import { brokenChunkOf, chunkOf, hangingChunkOf } from '../../../../test/support/upload-chunks.ts';
import { createEmbeddedSessionStore } from '../../sessions/embedded.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import { createFilesystemDriver } from '../../storage/filesystem/filesystem.ts';
import { createMemoryDriver } from '../../storage/memory.ts';
import { paths } from '../paths.ts';
import type { Registry } from '../registry.ts';
import { readAll } from '../small-files.ts';
import type { UploadKey } from './session-access.ts';
import type { UploadService } from './upload-service.ts';

const app = parseRepositoryName('team/app');
const other = parseRepositoryName('team/other');
const unknown = { name: 'RegistryError', code: 'BLOB_UPLOAD_UNKNOWN' };
const bytes = randomBytes(10_000);
const digest = digestOf(bytes);

describe('an upload', () => {
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

  async function start(subject = 'alice', repository = app): Promise<UploadKey> {
    const { id } = await uploads.start(repository, subject);
    return { repository, id, subject };
  }

  async function assertStored(content: Buffer, wanted = digestOf(content)): Promise<void> {
    const { size } = await registry.blobs.get(app, wanted);
    assert.equal(size, content.length);
    assert.ok((await readAll(driver, paths.blob(wanted))).equals(content));
  }

  async function assertNoUploads(): Promise<void> {
    const files = await folder.files();
    assert.deepEqual(
      files.filter((file) => file.includes('/_uploads/') || file.includes('/tmp/')),
      [],
    );
  }

  test('starts empty, grows with each append, and becomes a blob', async () => {
    const key = await start();
    assert.equal((await uploads.status(key)).offset, 0);
    assert.equal(await uploads.append(key, chunkOf(bytes.subarray(0, 4000))), 4000);
    assert.equal((await uploads.status(key)).offset, 4000);
    assert.equal(await uploads.append(key, chunkOf(bytes.subarray(4000), { start: 4000 })), 10_000);
    assert.equal(await registry.blobs.has(app, digest), false);
    await uploads.complete(key, digest);
    await assertStored(bytes);
    await assert.rejects(uploads.status(key), unknown);
    await assertNoUploads();
  });

  test('gives the same blob however it is cut', async () => {
    const cut = fc.nat({ max: bytes.length });
    await fc.assert(
      fc.asyncProperty(fc.array(cut, { maxLength: 5 }), fc.boolean(), async (cuts, lastInPut) => {
        const bounds = [0, ...cuts.sort((a, b) => a - b), bytes.length];
        const pieces = bounds.slice(1).map((end, index) => bytes.subarray(bounds[index], end));
        const key = await start();
        const last = lastInPut ? pieces.pop() : undefined;
        for (const piece of pieces) await uploads.append(key, chunkOf(piece));
        await uploads.complete(key, digest, last === undefined ? undefined : chunkOf(last));
        await assertStored(bytes);
      }),
      { numRuns: 15 },
    );
    await assertNoUploads();
  });

  test('may come whole with its completion, in many pieces', async () => {
    const key = await start();
    const pieces = Array.from({ length: 10 }, (_, index) =>
      bytes.subarray(index * 1000, (index + 1) * 1000),
    );
    await uploads.complete(key, digest, chunkOf(pieces, { length: bytes.length }));
    await assertStored(bytes);
  });

  test('of nothing becomes the empty blob', async () => {
    const empty = Buffer.alloc(0);
    await uploads.complete(await start(), digestOf(empty));
    await assertStored(empty);
    await uploads.complete(await start(), digestOf(empty), chunkOf(empty, { length: 0 }));
    await assertStored(empty);
    await assertNoUploads();
  });

  test('may be completed under its sha512 digest', async () => {
    const long = digestOf(bytes, 'sha512');
    const key = await start();
    await uploads.append(key, chunkOf(bytes));
    await uploads.complete(key, long);
    await assertStored(bytes, long);
    await assertNoUploads();
  });

  test('refuses a chunk that starts elsewhere, tells where it is, and goes on', async () => {
    const key = await start();
    await uploads.append(key, chunkOf(bytes.subarray(0, 100)));
    for (const at of [0, 99, 101, 1_000_000]) {
      await assert.rejects(uploads.append(key, chunkOf(bytes, { start: at })), {
        code: 'RANGE_INVALID',
        detail: { offset: 100 },
      });
      await assert.rejects(uploads.complete(key, digest, chunkOf(bytes, { start: at })), {
        code: 'RANGE_INVALID',
      });
    }
    await uploads.complete(key, digest, chunkOf(bytes.subarray(100), { start: 100 }));
    await assertStored(bytes);
  });

  test('tells a chunk that is not as long as announced, and keeps what came', async () => {
    const key = await start();
    const chunk = chunkOf(bytes.subarray(0, 100), { start: 0, length: 200 });
    await assert.rejects(uploads.append(key, chunk), { code: 'SIZE_INVALID' });
    assert.equal((await uploads.status(key)).offset, 100);
    await uploads.complete(key, digest, chunkOf(bytes.subarray(100), { start: 100 }));
    await assertStored(bytes);
  });

  test('keeps what came before its client went away', async () => {
    const key = await start();
    await assert.rejects(uploads.append(key, brokenChunkOf(bytes.subarray(0, 5000))), /gone/);
    assert.equal((await uploads.status(key)).offset, 5000);
    await uploads.append(key, chunkOf(bytes.subarray(5000), { start: 5000 }));
    await uploads.complete(key, digest);
    await assertStored(bytes);
  });

  for (const algorithm of ['sha256', 'sha512'] as const) {
    test(`with a wrong ${algorithm} digest ends and leaves nothing behind`, async () => {
      const key = await start();
      await uploads.append(key, chunkOf(bytes));
      const wrong = digestOf(Buffer.from('other'), algorithm);
      await assert.rejects(uploads.complete(key, wrong), { code: 'DIGEST_INVALID' });
      await assert.rejects(uploads.status(key), unknown);
      assert.equal(await registry.blobs.has(app, wrong), false);
      assert.deepEqual(await folder.files(), []);
    });
  }

  test('counts what came of a chunk with Content-Range that broke off', async () => {
    const key = await start();
    await assert.rejects(
      uploads.append(key, { ...brokenChunkOf(bytes.subarray(0, 3000)), start: 0 }),
    );
    await uploads.append(key, chunkOf(bytes.subarray(3000), { start: 3000 }));
    await uploads.complete(key, digest);
    await assertStored(bytes);
  });

  test('takes the last bytes once if they are sent again with the completion', async () => {
    const key = await start();
    const broken = { ...brokenChunkOf(bytes.subarray(0, 9000)), locationOffset: 0 };
    await assert.rejects(uploads.complete(key, digest, broken));
    await uploads.complete(key, digest, chunkOf(bytes, { locationOffset: 0 }));
    await assertStored(bytes);
    await assertNoUploads();
  });

  test('takes nothing of a request whose client left before it was looked at', async () => {
    const key = await start();
    await uploads.append(key, chunkOf(bytes.subarray(0, 4000)));
    const gone = { id: '', signal: AbortSignal.abort() };
    const chunk = () => chunkOf(bytes.subarray(4000));
    await assert.rejects(uploads.append(key, chunk(), gone), { code: 'request-gone' });
    await assert.rejects(uploads.complete(key, digest, chunk(), gone), { code: 'request-gone' });
    await assert.rejects(uploads.cancel(key, gone), { code: 'request-gone' });
    assert.equal((await uploads.status(key)).offset, 4000);
    await uploads.append(key, chunk());
    await uploads.complete(key, digest);
    await assertStored(bytes);
  });

  test('is not made a blob whose client left in the middle', async () => {
    const key = await start();
    await uploads.append(key, chunkOf(bytes));
    await assert.rejects(
      uploads.complete(key, digest, undefined, { id: '', signal: AbortSignal.abort() }),
      {
        code: 'request-gone',
      },
    );
    assert.equal(await registry.blobs.has(app, digest), false);
    await uploads.complete(key, digest);
    await assertStored(bytes);
  });

  test('is hashed no further by another algorithm when its client has left', async () => {
    let pieces = 0;
    const leaving = new AbortController();
    const memory = createMemoryDriver();
    const slow: StorageDriver = {
      ...memory,
      async read(path) {
        if (!path.includes('/data.')) return await memory.read(path);
        return Readable.from(
          (async function* () {
            for (; pieces < 100; pieces += 1) {
              if (pieces === 3) leaving.abort();
              yield Buffer.alloc(1000);
            }
          })(),
        );
      },
    };
    const uploads = openRegistry(slow).uploads;
    const { id } = await uploads.start(app, 'a');
    const key = { repository: app, id, subject: 'a' };
    await uploads.append(key, chunkOf(Buffer.alloc(100_000)));
    const sha512 = digestOf(Buffer.alloc(100_000), 'sha512');
    await assert.rejects(
      uploads.complete(key, sha512, undefined, { id: '', signal: leaving.signal }),
      { code: 'request-gone' },
    );
    assert.ok(pieces < 10, `${pieces} pieces`);
  });

  test('leaves no file open, however its requests end', async () => {
    const descriptors = async () => (await readdir('/proc/self/fd')).length;
    const gone = { id: '', signal: AbortSignal.abort() };
    const keys = await Promise.all(Array.from({ length: 30 }, () => start()));
    const before = await descriptors();
    for (const key of keys) {
      await assert.rejects(uploads.append(key, chunkOf(bytes, { start: 5 })), {
        code: 'RANGE_INVALID',
      });
      await assert.rejects(uploads.append(key, chunkOf(bytes), gone), { code: 'request-gone' });
    }
    for (const key of keys.slice(0, 10)) await uploads.cancel(key);
    assert.ok((await descriptors()) - before < 10);
  });

  test('is not ended as empty while it is written to, nor with what another core took', async () => {
    const key = await start();
    const { chunk, taken } = hangingChunkOf(bytes.subarray(0, 3000));
    const hanging = assert.rejects(uploads.append(key, chunk), { code: 'UNAVAILABLE' });
    await taken;
    assert.equal(await uploads.endIfEmpty(key), false);
    const again = chunkOf(bytes, { locationOffset: 0 });
    assert.equal(await uploads.append(key, again), bytes.length);
    await hanging;

    const sessions = createEmbeddedSessionStore();
    const [one, other] = [openRegistry(driver, { sessions }), openRegistry(driver, { sessions })];
    const { id } = await one.uploads.start(app, '');
    const shared = { repository: app, id, subject: '' };
    await assert.rejects(one.uploads.append(shared, brokenChunkOf(Buffer.alloc(0))));
    assert.equal(await other.uploads.append(shared, chunkOf(bytes.subarray(0, 1000))), 1000);
    assert.equal(await one.uploads.endIfEmpty(shared), false);
    assert.equal((await one.uploads.status(shared)).offset, 1000);
  });

  test('that nobody opened is unknown to everything', async () => {
    const key = { repository: app, id: createUploadId(), subject: 'alice' };
    await assert.rejects(uploads.status(key), unknown);
    await assert.rejects(uploads.append(key, chunkOf(bytes)), unknown);
    await assert.rejects(uploads.complete(key, digest), unknown);
    await assert.rejects(uploads.cancel(key), unknown);
    assert.deepEqual(await folder.files(), []);
  });

  test('is unknown to another subject and through another repository', async () => {
    const key = await start('alice');
    await uploads.append(key, chunkOf(bytes));
    const strangers = [
      { ...key, subject: 'bob' },
      { ...key, subject: '' },
      { ...key, repository: other },
    ];
    for (const stranger of strangers) {
      await assert.rejects(uploads.status(stranger), unknown);
      await assert.rejects(uploads.append(stranger, chunkOf(bytes)), unknown);
      await assert.rejects(uploads.complete(stranger, digest), unknown);
      await assert.rejects(uploads.cancel(stranger), unknown);
    }
    await uploads.complete(key, digest);
    await assertStored(bytes);
    assert.equal(await registry.blobs.has(other, digest), false);
  });

  test('that is cancelled is gone with its bytes', async () => {
    const key = await start();
    await uploads.append(key, chunkOf(bytes));
    await uploads.cancel(key);
    await assert.rejects(uploads.status(key), unknown);
    await assert.rejects(uploads.cancel(key), unknown);
    assert.deepEqual(await folder.files(), []);
  });

  test('can be cancelled before anything came', async () => {
    await uploads.cancel(await start());
    assert.deepEqual(await folder.files(), []);
  });

  test('lets go of a hanging client when another request comes, and loses nothing', async () => {
    const key = await start();
    const { chunk, taken } = hangingChunkOf(bytes.subarray(0, 3000));
    const hanging = assert.rejects(uploads.append(key, chunk), { code: 'UNAVAILABLE' });
    await taken;
    const next = uploads.append(key, chunkOf(bytes.subarray(3000), { start: 3000 }));
    await hanging;
    assert.equal(await next, bytes.length);
    await uploads.complete(key, digest);
    await assertStored(bytes);
  });

  test('can be cancelled while a client hangs', async () => {
    const key = await start();
    const { chunk, taken } = hangingChunkOf(bytes);
    const hanging = assert.rejects(uploads.append(key, chunk), { code: 'UNAVAILABLE' });
    await taken;
    await uploads.cancel(key);
    await hanging;
    assert.deepEqual(await folder.files(), []);
  });

  test('is told how far it is while bytes still come', async () => {
    const key = await start();
    const { chunk, taken } = hangingChunkOf(bytes.subarray(0, 3000));
    const hanging = assert.rejects(uploads.append(key, chunk), { code: 'UNAVAILABLE' });
    await taken;
    assert.equal((await uploads.status(key)).offset, 3000);
    await uploads.cancel(key);
    await hanging;
  });

  test('of the same blob by two clients at once serves both', async () => {
    const keys = [await start('alice'), await start('bob')];
    for (const key of keys) await uploads.append(key, chunkOf(bytes));
    await Promise.all(keys.map((key) => uploads.complete(key, digest)));
    await assertStored(bytes);
    await assertNoUploads();
  });

  test('does not disturb its neighbours', async () => {
    const contents = Array.from({ length: 6 }, () => randomBytes(2000));
    await Promise.all(
      contents.map(async (content, index) => {
        const key = await start(`user${index}`);
        for (let at = 0; at < content.length; at += 500) {
          await uploads.append(key, chunkOf(content.subarray(at, at + 500), { start: at }));
        }
        await uploads.complete(key, digestOf(content));
      }),
    );
    for (const content of contents) await assertStored(content);
    await assertNoUploads();
  });
});
