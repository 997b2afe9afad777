import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { digestOf } from '#libs/oci/digest.ts';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { openRegistry } from '../../../../test/support/open-registry.ts';
import { createSteppingDriver } from '../../../../test/support/stepping-driver.ts';
import {
  createTemporaryFolder,
  type TemporaryFolder,
} from '../../../../test/support/temporary-folder.ts';
import { chunkOf } from '../../../../test/support/upload-chunks.ts';
import { createEmbeddedSessionStore } from '../../sessions/embedded.ts';
import type { StorageDriver, StoragePath } from '../../storage/driver.ts';
import { createFilesystemDriver } from '../../storage/filesystem/filesystem.ts';
import { paths } from '../paths.ts';
import type { Registry } from '../registry.ts';
import { readAll } from '../small-files.ts';
import type { UploadKey } from './session-access.ts';

const app = parseRepositoryName('team/app');
const unknown = { code: 'BLOB_UPLOAD_UNKNOWN' };
const bytes = randomBytes(9000);
const digest = digestOf(bytes);
const [head, middle, tail] = [
  bytes.subarray(0, 3000),
  bytes.subarray(3000, 6000),
  bytes.subarray(6000),
];

describe('an upload that a core left behind', () => {
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

  test('goes on where a power loss emptied its session file, and its session is remembered', async () => {
    const { uploads } = openRegistry(driver);
    const { id } = await uploads.start(app, '');
    const key = { repository: app, id, subject: '' };
    const file = paths.uploadFile(app, id, { kind: 'session', fence: 0 });
    await writeFile(join(folder.path, file), '');
    await uploads.append(key, chunkOf(head));
    await uploads.append(key, chunkOf(middle));
    await uploads.complete(key, digest, chunkOf(tail));
    assert.ok((await readAll(driver, paths.blob(digest))).equals(bytes));
  });

  /** A core that remembers nothing. */
  const restart = (): Registry => openRegistry(driver);

  async function begin({ uploads }: Registry, content = head, subject = 'a'): Promise<UploadKey> {
    const { id } = await uploads.start(app, subject);
    const key = { repository: app, id, subject };
    if (content.length > 0) await uploads.append(key, chunkOf(content));
    return key;
  }

  async function write(path: StoragePath, content: Buffer): Promise<void> {
    const writer = await driver.openWriter(path);
    await writer.write(content);
    await writer.close();
  }

  async function assertComplete({ blobs }: Registry): Promise<void> {
    assert.equal((await blobs.get(app, digest)).size, bytes.length);
    assert.ok((await readAll(driver, paths.blob(digest))).equals(bytes));
    const left = (await folder.files()).filter((file) => file.includes('/_uploads/'));
    assert.deepEqual(left, []);
  }

  test('is read no further than its client waits, and by the next one from there', async () => {
    const key = await begin(restart());
    let pieces = 0;
    let onPiece = () => {};
    const read = driver.read.bind(driver);
    async function* inPieces(...asked: Parameters<typeof read>) {
      for await (const bytes of await read(...asked)) {
        for (let at = 0; at < (bytes as Buffer).length; at += 100) {
          pieces += 1;
          onPiece();
          yield (bytes as Buffer).subarray(at, at + 100);
        }
      }
    }
    driver.read = async (...asked) =>
      Readable.from(inPieces(...asked), { objectMode: false, highWaterMark: 1 });
    const { uploads, blobs } = openRegistry(driver);
    const leaving = new AbortController();
    onPiece = () => {
      if (pieces === 10) leaving.abort();
    };
    const requester = { id: '', signal: leaving.signal };
    await assert.rejects(uploads.append(key, chunkOf(middle), requester), { code: 'request-gone' });
    assert.ok(pieces < 20, `${pieces} pieces were read`);
    await uploads.append(key, chunkOf(middle));
    assert.ok(pieces < 40, `${pieces} pieces were read in all`);
    await uploads.complete(key, digest, chunkOf(tail));
    assert.equal((await blobs.get(app, digest)).size, bytes.length);
  });

  test('of an earlier version has the bytes that its name says: its client sends the rest again', async () => {
    for (const former of ['cut.1.3000', 'open.1.3000']) {
      const key = await begin(restart(), bytes.subarray(0, 5000));
      const upload = paths.upload(app, key.id);
      await driver.rename(paths.below(upload, 'data.1'), paths.below(upload, former));
      const core = restart();
      assert.equal((await core.uploads.status(key)).offset, 3000);
      assert.equal(await core.uploads.append(key, chunkOf(bytes.subarray(3000))), bytes.length);
      await core.uploads.complete(key, digest);
      await assertComplete(core);
      await core.blobs.remove(app, digest);
    }
  });

  test('goes on where it was', async () => {
    const key = await begin(restart());
    const core = restart();
    const { offset, subject } = await core.uploads.status(key);
    assert.deepEqual({ offset, subject }, { offset: 3000, subject: 'a' });
    assert.equal(await core.uploads.append(key, chunkOf(middle, { start: 3000 })), 6000);
    await core.uploads.complete(key, digest, chunkOf(tail));
    await assertComplete(core);
  });

  test('goes on after any number of restarts', async () => {
    const key = await begin(restart());
    await restart().uploads.append(key, chunkOf(middle, { start: 3000 }));
    await restart().uploads.append(key, chunkOf(tail, { start: 6000 }));
    const core = restart();
    await core.uploads.complete(key, digest);
    await assertComplete(core);
  });

  test('that got no bytes yet is still open', async () => {
    const key = await begin(restart(), Buffer.alloc(0));
    const core = restart();
    assert.equal((await core.uploads.status(key)).offset, 0);
    await core.uploads.complete(key, digest, chunkOf(bytes, { start: 0 }));
    await assertComplete(core);
  });

  test('tells a client that is ahead where it really is', async () => {
    const key = await begin(restart());
    const core = restart();
    await assert.rejects(core.uploads.append(key, chunkOf(tail, { start: 6000 })), {
      code: 'RANGE_INVALID',
      detail: { offset: 3000 },
    });
    await core.uploads.complete(key, digest, chunkOf(bytes.subarray(3000), { start: 3000 }));
    await assertComplete(core);
  });

  test('still belongs to its subject and repository', async () => {
    const key = await begin(restart());
    const { uploads } = restart();
    await assert.rejects(uploads.status({ ...key, subject: 'b' }), unknown);
    const repository = parseRepositoryName('team/other');
    await assert.rejects(uploads.status({ ...key, repository }), unknown);
    await uploads.cancel(key);
    assert.deepEqual(await folder.files(), []);
  });

  test('leaves no folder of its name behind when it is cancelled', async () => {
    const { uploads } = restart();
    for (const name of ['deep/a/b/c/d', 'team/app/x']) {
      const repository = parseRepositoryName(name);
      const { id } = await uploads.start(repository, '');
      await uploads.cancel({ repository, id, subject: '' });
    }
    assert.deepEqual(await driver.list(paths.repositories), []);
  });

  test('can be ended with a digest that is wrong', async () => {
    const key = await begin(restart());
    await assert.rejects(restart().uploads.complete(key, digest), { code: 'DIGEST_INVALID' });
    assert.deepEqual(await folder.files(), []);
  });

  test('is taken from its whole file when a take-over was cut short', async () => {
    const key = await begin(restart());
    await write(paths.uploadFile(app, key.id, { kind: 'copy', fence: 2 }), head.subarray(0, 1000));
    const core = restart();
    assert.equal((await core.uploads.status(key)).offset, 3000);
    await core.uploads.append(key, chunkOf(middle, { start: 3000 }));
    const names = await driver.list(paths.upload(app, key.id));
    assert.ok(names.includes('data.3'), `its own file, not the one cut short: ${names}`);
    await core.uploads.complete(key, digest, chunkOf(tail));
    await assertComplete(core);
  });

  test('is taken from the newest file when the one before was not cleared away', async () => {
    const key = await begin(restart());
    await write(
      paths.uploadFile(app, key.id, { kind: 'data', fence: 2 }),
      Buffer.concat([head, middle]),
    );
    const core = restart();
    assert.equal((await core.uploads.status(key)).offset, 6000);
    await core.uploads.complete(key, digest, chunkOf(tail, { start: 6000 }));
    await assertComplete(core);
  });

  test('is hashed anew, so that bytes changed on disk are never a blob', async () => {
    const key = await begin(restart(), bytes);
    const path = paths.uploadFile(app, key.id, { kind: 'data', fence: 1 });
    await driver.remove(path);
    await write(path, Buffer.concat([head, Buffer.alloc(3000), tail]));
    await assert.rejects(restart().uploads.complete(key, digest), { code: 'DIGEST_INVALID' });
    assert.deepEqual(await folder.files(), []);
  });

  test('has all its bytes at whichever core is asked, also one that knew it before', async () => {
    const [old, core] = [restart(), restart()];
    const key = await begin(old);
    await core.uploads.append(key, chunkOf(middle, { start: 3000 }));
    // The old core wakes up, and its session store knows nothing of the new one.
    await assert.rejects(old.uploads.append(key, chunkOf(Buffer.from('late'), { start: 3000 })), {
      code: 'RANGE_INVALID',
      detail: { offset: 6000 },
    });
    assert.equal((await old.uploads.status(key)).offset, 6000);
    await old.uploads.append(key, chunkOf(tail.subarray(0, 1000), { start: 6000 }));
    await core.uploads.complete(key, digest, chunkOf(tail.subarray(1000), { start: 7000 }));
    await assertComplete(core);
  });

  test('is hashed anew where the session store says what no holder noted', async () => {
    const forged = digestOf(Buffer.from('something else'));
    for (const proof of [undefined, '', 'x'.repeat(43)]) {
      const first = restart();
      const key = await begin(first);
      const session = await first.uploads.find(key);
      const sessions = createEmbeddedSessionStore();
      await sessions.create({ ...session, digest: forged, proof });
      const core = openRegistry(driver, { sessions });
      await assert.rejects(core.uploads.complete(key, forged), { code: 'DIGEST_INVALID' });
      assert.equal(await core.blobs.has(app, forged), false);
    }
  });

  test('is not read again where the session store says what its holder noted', async () => {
    const sessions = createEmbeddedSessionStore();
    const key = await begin(openRegistry(driver, { sessions }), bytes);
    const read: string[] = [];
    const watched = createSteppingDriver(driver, async ({ operation, path }) => {
      if (operation === 'read') read.push(path);
    });
    await openRegistry(watched, { sessions }).uploads.complete(key, digest);
    assert.deepEqual(
      read.filter((path) => path.includes('/data.')),
      [],
    );
    await assertComplete(restart());
  });

  test('is not ended by a core whose request was overtaken', async () => {
    const [old, core] = [restart(), restart()];
    const key = await begin(old);
    const overtaken = async function* () {
      await core.uploads.append(key, chunkOf(middle, { start: 3000 }));
      yield tail;
    };
    const late = { source: overtaken, start: 3000 };
    await assert.rejects(old.uploads.complete(key, digestOf(head), late), { code: 'UNAVAILABLE' });
    await core.uploads.complete(key, digest, chunkOf(tail, { start: 6000 }));
    await assertComplete(core);
  });

  test('is unknown once somebody removed its folder, to the core that wrote it and to others', async () => {
    const core = restart();
    const key = await begin(core);
    await driver.remove(paths.upload(key.repository, key.id));
    for (const asked of [core, core, restart()]) {
      await assert.rejects(asked.uploads.append(key, chunkOf(middle)), unknown);
    }
    assert.deepEqual(await folder.files(), []);
  });

  test('is taken over once when two requests find it at the same time', async () => {
    const key = await begin(restart());
    const core = restart();
    const found = await Promise.all([core.uploads.status(key), core.uploads.status(key)]);
    assert.deepEqual(
      found.map(({ offset }) => offset),
      [3000, 3000],
    );
    await core.uploads.complete(key, digest, chunkOf(bytes.subarray(3000)));
    await assertComplete(core);
  });

  const sessionOf = (key: UploadKey) =>
    paths.uploadFile(app, key.id, { kind: 'session', fence: 1 });

  for (const [what, content] of [
    ['is torn', '{"subject":"a","algo'],
    ['names an algorithm we lack', '{"subject":"a","algorithm":"md5"}'],
    ['names no subject', '{"algorithm":"sha256"}'],
  ] as const) {
    test(`is unknown if its session file ${what}`, async () => {
      const key = await begin(restart());
      await driver.remove(sessionOf(key));
      await driver.put(sessionOf(key), Buffer.from(content));
      await assert.rejects(restart().uploads.status(key), unknown);
    });
  }

  for (const [what, pathOf] of [
    ['owner', sessionOf],
    ['start', (key: UploadKey) => paths.uploadStartedAt(app, key.id)],
  ] as const) {
    test(`is unknown if nothing tells its ${what}, as with one of the original registry`, async () => {
      const key = await begin(restart());
      await driver.remove(pathOf(key));
      await assert.rejects(restart().uploads.append(key, chunkOf(middle)), unknown);
    });
  }

  test('has all its bytes also for a listing that meets its file getting another name', async () => {
    const key = await begin(restart());
    const folder = paths.upload(app, key.id);
    let missed = 0;
    // As readdir may: the old name is gone already, and the new one is behind where it has looked.
    const list = driver.list.bind(driver);
    driver.list = async (path, page) => {
      const names = await list(path, page);
      if (path !== folder) return names;
      missed += 1;
      return missed > 2 ? names : names.filter((name) => !name.startsWith('data.'));
    };
    const core = restart();
    assert.equal((await core.uploads.status(key)).offset, head.length);
    assert.ok(missed > 2);
  });
});
