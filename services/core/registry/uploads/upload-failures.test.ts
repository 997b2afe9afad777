import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { digestOf } from '#libs/oci/digest.ts';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import {
  createFailingDriver,
  type FailingDriver,
} from '../../../../test/support/failing-driver.ts';
import { openRegistry } from '../../../../test/support/open-registry.ts';
import {
  createTemporaryFolder,
  type TemporaryFolder,
} from '../../../../test/support/temporary-folder.ts';
import { chunkOf } from '../../../../test/support/upload-chunks.ts';
import { createEmbeddedLocks } from '../../sessions/embedded-locks.ts';
import { createFilesystemDriver } from '../../storage/filesystem/filesystem.ts';
import { createEpoch } from '../garbage/epoch.ts';
import { createTrash } from '../garbage/trash.ts';
import { paths } from '../paths.ts';
import type { Registry } from '../registry.ts';
import { readAll } from '../small-files.ts';
import type { UploadKey } from './session-access.ts';

const app = parseRepositoryName('team/app');
const bytes = randomBytes(9000);
const digest = digestOf(bytes);
const [head, tail] = [bytes.subarray(0, 3000), bytes.subarray(3000)];

describe('an upload whose storage fails', () => {
  let folder: TemporaryFolder;
  let driver: FailingDriver;
  let registry: Registry;

  const restart = () => openRegistry(driver);

  beforeEach(async () => {
    folder = await createTemporaryFolder();
    driver = createFailingDriver(await createFilesystemDriver(folder.path));
    registry = restart();
  });

  afterEach(async () => {
    await driver.close();
    await folder.remove();
  });

  async function begin(content = head): Promise<UploadKey> {
    const { id } = await registry.uploads.start(app, '');
    const key = { repository: app, id, subject: '' };
    if (content.length > 0) await registry.uploads.append(key, chunkOf(content));
    return key;
  }

  async function assertComplete(): Promise<void> {
    assert.equal((await registry.blobs.get(app, digest)).size, bytes.length);
    assert.ok((await readAll(driver, paths.blob(digest))).equals(bytes));
    const left = (await folder.files()).filter((file) => /_uploads|tmp/.test(file));
    assert.deepEqual(left, []);
  }

  test('that cannot be begun leaves nothing behind', async () => {
    driver.failOn(
      'no-space',
      (operation, path) => operation === 'write' && path.endsWith('/session'),
    );
    await assert.rejects(registry.uploads.start(app, ''), { code: 'no-space' });
    driver.recover();
    assert.deepEqual(await driver.list(paths.repositories), []);
  });

  test('goes on from what it has once a full disk has room again', async () => {
    const key = await begin();
    let writes = 0;
    driver.failOn('no-space', (operation) => operation === 'write' && ++writes > 2);
    const pieces = [0, 1, 2, 3].map((index) => tail.subarray(index * 1000, (index + 1) * 1000));
    await assert.rejects(registry.uploads.append(key, chunkOf(pieces)), { code: 'no-space' });
    assert.equal((await registry.uploads.status(key)).offset, 5000);
    await assert.rejects(registry.uploads.append(key, chunkOf(tail.subarray(2000))), {
      code: 'no-space',
    });
    driver.recover();
    assert.equal((await registry.uploads.status(key)).offset, 5000);
    await registry.uploads.append(key, chunkOf(tail.subarray(2000), { start: 5000 }));
    await registry.uploads.complete(key, digest);
    await assertComplete();
  });

  test('whose last bytes did not fit can be completed later', async () => {
    const key = await begin();
    driver.failOn('no-space', (operation) => operation === 'write');
    await assert.rejects(registry.uploads.complete(key, digest, chunkOf(tail)), {
      code: 'no-space',
    });
    driver.recover();
    assert.equal(await registry.blobs.has(app, digest), false);
    await registry.uploads.complete(key, digest, chunkOf(tail, { start: 3000 }));
    await assertComplete();
  });

  test('never counts a byte as stored that was only hashed', async () => {
    const key = await begin();
    driver.failOn('no-space', (operation) => operation === 'write');
    await assert.rejects(registry.uploads.append(key, chunkOf(tail)), { code: 'no-space' });
    driver.recover();
    await assert.rejects(registry.uploads.complete(key, digest), { code: 'DIGEST_INVALID' });
    assert.equal(await registry.blobs.has(app, digest), false);
  });

  for (const operation of ['openWriter', 'list'] as const) {
    test(`goes on after ${operation} failed in a first append`, async () => {
      const key = await begin(Buffer.alloc(0));
      driver.failOn('failed', (found) => found === operation);
      await assert.rejects(registry.uploads.append(key, chunkOf(head)), { code: 'failed' });
      driver.recover();
      await registry.uploads.append(key, chunkOf(head, { start: 0 }));
      await registry.uploads.complete(key, digest, chunkOf(tail, { start: 3000 }));
      await assertComplete();
    });
  }

  test('goes on after its own file could not be opened again', async () => {
    const key = await begin();
    driver.failOn('failed', (operation) => operation === 'openWriter');
    await assert.rejects(registry.uploads.append(key, chunkOf(tail)), { code: 'failed' });
    driver.recover();
    await registry.uploads.complete(key, digest, chunkOf(tail, { start: 3000 }));
    await assertComplete();
  });

  for (const operation of ['close', 'sync'] as const) {
    test(`is not taken for written where ${operation} failed: it stays open by its name, and is copied`, async () => {
      const key = await begin();
      const left = async () =>
        (await folder.files())
          .map((file) => /_uploads\/[^/]+\/(open|data|copy)\./.exec(file)?.[1])
          .filter((kind) => kind !== undefined);
      assert.deepEqual(await left(), ['data']);
      let times = 0;
      // A file that failed to close is closed.
      driver.failOn('failed', (found) => found === operation && ++times === 1);
      await assert.rejects(registry.uploads.complete(key, digest, chunkOf(tail)), {
        code: 'failed',
      });
      driver.recover();
      assert.deepEqual(await left(), ['open']);
      await registry.uploads.complete(key, digest);
      await assertComplete();
    });
  }

  test('whose file is not as long as it was is taken as it is by the next request', async () => {
    const key = await begin();
    const [name = ''] = (await folder.files()).filter((file) => file.includes('/data.'));
    await appendFile(join(folder.path, name), tail.subarray(0, 1000));
    await assert.rejects(registry.uploads.append(key, chunkOf(tail)), { code: 'failed' });
    await registry.uploads.complete(key, digest, chunkOf(tail.subarray(1000), { start: 4000 }));
    await assertComplete();
  });

  test('goes on after a restart whose take-over could not read', async () => {
    const key = await begin();
    registry = restart();
    driver.failOn('failed', (operation, path) => operation === 'list' && path.includes('_uploads'));
    await assert.rejects(registry.uploads.append(key, chunkOf(tail)), { code: 'failed' });
    driver.recover();
    await registry.uploads.complete(key, digest, chunkOf(tail, { start: 3000 }));
    await assertComplete();
  });

  test('whose blob could not be put in its place can be completed again', async () => {
    const key = await begin(bytes);
    driver.failOn('no-space', (operation) => operation === 'move');
    await assert.rejects(registry.uploads.complete(key, digest), { code: 'no-space' });
    driver.recover();
    assert.equal(await registry.blobs.has(app, digest), false);
    await registry.uploads.complete(key, digest);
    await assertComplete();
  });

  test('whose blob could not be linked can be completed again, also by another core', async () => {
    for (const again of [registry, restart()]) {
      const key = await begin(bytes);
      driver.failOn(
        'no-space',
        (operation, path) => operation === 'put' && path.includes('_layers'),
      );
      await assert.rejects(registry.uploads.complete(key, digest), { code: 'no-space' });
      driver.recover();
      assert.equal(await registry.blobs.has(app, digest), false);
      await again.uploads.complete(key, digest);
      await assertComplete();
      await registry.blobs.remove(app, digest);
    }
  });

  test('whose blob was collected before it could be linked can be completed again', async () => {
    const key = await begin(bytes);
    driver.failOn('no-space', (operation, path) => operation === 'put' && path.includes('_layers'));
    await assert.rejects(registry.uploads.complete(key, digest), { code: 'no-space' });
    driver.recover();
    const trash = createTrash(driver);
    for (const again of [chunkOf([]), chunkOf(tail, { locationOffset: head.length })]) {
      assert.ok(await trash.discard(createEpoch(new Date()), { kind: 'blob', digest }));
      registry = restart();
      assert.equal((await registry.uploads.status(key)).offset, bytes.length);
      assert.equal(await registry.uploads.append(key, again), bytes.length);
    }
    await registry.uploads.complete(key, digest);
    await assertComplete();
  });

  test('tells of all its bytes where they are a blob that could not be linked', async () => {
    const key = await begin(bytes);
    driver.failOn('no-space', (operation, path) => operation === 'put' && path.includes('_layers'));
    await assert.rejects(registry.uploads.complete(key, digest), { code: 'no-space' });
    driver.recover();
    for (const core of [registry, restart()]) {
      assert.equal((await core.uploads.status(key)).offset, bytes.length);
    }
    await registry.uploads.complete(key, digest);
    await assertComplete();
  });

  test('that is a blob which could not be linked loses nothing to whatever else comes', async () => {
    for (const chunk of [
      chunkOf(tail, { locationOffset: head.length }),
      chunkOf([], { locationOffset: bytes.length }),
      chunkOf(head, { start: bytes.length }),
    ]) {
      const key = await begin(bytes);
      driver.failOn(
        'no-space',
        (operation, path) => operation === 'put' && path.includes('_layers'),
      );
      await assert.rejects(registry.uploads.complete(key, digest), { code: 'no-space' });
      driver.recover();
      const after = await registry.uploads.append(key, chunk).catch(() => bytes.length);
      const whole = Buffer.concat([bytes, head]).subarray(0, after);
      assert.equal((await registry.uploads.status(key)).offset, whole.length);
      await registry.uploads.complete(key, digestOf(whole));
      assert.ok(await registry.blobs.has(app, digestOf(whole)));
      await registry.blobs.remove(app, digestOf(whole));
    }
  });

  test('whose blob is gone for good before it could be linked takes its bytes again', async () => {
    for (const inOneRequest of [true, false]) {
      const key = await begin(bytes);
      driver.failOn(
        'no-space',
        (operation, path) => operation === 'put' && path.includes('_layers'),
      );
      await assert.rejects(registry.uploads.complete(key, digest), { code: 'no-space' });
      driver.recover();
      await driver.remove(paths.blob(digest));
      const again = chunkOf(bytes, { locationOffset: 0 });
      if (!inOneRequest) {
        assert.equal((await registry.uploads.status(key)).offset, 0);
        await registry.uploads.append(key, again);
      }
      await registry.uploads.complete(key, digest, inOneRequest ? again : undefined);
      await assertComplete();
      await registry.blobs.remove(app, digest);
    }
  });

  test('is unknown once its blob is gone for good and its client has nothing more to send', async () => {
    const key = await begin(bytes);
    driver.failOn('no-space', (operation, path) => operation === 'put' && path.includes('_layers'));
    await assert.rejects(registry.uploads.complete(key, digest), { code: 'no-space' });
    driver.recover();
    await driver.remove(paths.blob(digest));
    await assert.rejects(registry.uploads.complete(key, digest), { code: 'BLOB_UPLOAD_UNKNOWN' });
    assert.equal(await registry.blobs.has(app, digest), false);
  });

  test('keeps its bytes while its completion waits for the repository', async () => {
    const locks = createEmbeddedLocks();
    registry = openRegistry(driver, { locks });
    const key = await begin(bytes);
    const leaving = new AbortController();
    {
      using _held = await locks.exclusive(app);
      const requester = { id: '', signal: leaving.signal };
      const waiting = registry.uploads.complete(key, digest, undefined, requester);
      const refused = assert.rejects(waiting, { code: 'request-gone' });
      await new Promise((resolve) => setTimeout(resolve, 50));
      assert.equal((await registry.uploads.status(key)).offset, bytes.length);
      leaving.abort();
      await refused;
    }
    const again = chunkOf(tail, { locationOffset: head.length });
    assert.equal(await registry.uploads.append(key, again), bytes.length);
    await registry.uploads.complete(key, digest);
    await assertComplete();
  });

  test('goes on after a take-over that failed half way', async () => {
    const key = await begin();
    // As a core leaves it that was killed while it wrote.
    const upload = paths.upload(app, key.id);
    await driver.rename(paths.below(upload, 'data.1'), paths.below(upload, 'open.1'));
    driver.failOn(
      'no-space',
      (operation, path) => operation === 'write' && path.includes('/copy.'),
    );
    registry = restart();
    await assert.rejects(registry.uploads.append(key, chunkOf(tail, { start: 3000 })), {
      code: 'no-space',
    });
    driver.recover();
    await registry.uploads.append(key, chunkOf(tail, { start: 3000 }));
    await registry.uploads.complete(key, digest);
    await assertComplete();
  });

  test('is no blob while its bytes could not be synced', async () => {
    const key = await begin(bytes);
    driver.failOn('no-space', (operation) => operation === 'sync');
    await assert.rejects(registry.uploads.complete(key, digest), { code: 'no-space' });
    driver.recover();
    assert.equal(await registry.blobs.has(app, digest), false);
    assert.equal((await registry.uploads.status(key)).offset, bytes.length);
  });

  test('is written anew after a sync that failed, by this core and by another', async () => {
    for (const again of [registry, restart()]) {
      const key = await begin(bytes);
      driver.failOn('no-space', (operation) => operation === 'sync');
      await assert.rejects(registry.uploads.complete(key, digest), { code: 'no-space' });
      const written: string[] = [];
      driver.failOn('failed', (operation, path) => {
        if (operation === 'write') written.push(path);
        return false;
      });
      await again.uploads.complete(key, digest);
      assert.ok(
        written.some((path) => path.includes('/copy.')),
        `${written}`,
      );
      await assertComplete();
      await registry.blobs.remove(app, digest);
    }
  });

  test('has its bytes synced before they are put in their place', async () => {
    const key = await begin(bytes);
    const seen: string[] = [];
    driver.failOn('failed', (operation, path) => {
      if (operation === 'sync' && path.includes('/_uploads/')) seen.push('sync');
      if (operation === 'move' && path === paths.blob(digest)) seen.push('move');
      return false;
    });
    await registry.uploads.complete(key, digest);
    assert.ok(seen.indexOf('sync') >= 0 && seen.indexOf('sync') < seen.indexOf('move'), `${seen}`);
  });
});
