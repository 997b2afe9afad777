import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { StoragePath } from '../../services/core/storage/driver.ts';
import { createFilesystemDriver } from '../../services/core/storage/filesystem/filesystem.ts';
import { startConfigured } from '../support/configured-stack.ts';
import { freePort } from '../support/free-port.ts';
import { mustRun } from '../support/run.ts';
import { type Stack, servicePids } from '../support/stack.ts';
import { createTemporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';

const MiB = 1024 * 1024;
const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

describe('a disk that runs full', () => {
  let disk: string;
  let stack: Stack;

  before(async () => {
    disk = await mkdtemp(join(tmpdir(), 'portcullis-disk-'));
    await mustRun('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', disk]);
    await mkdir(join(disk, 'registry'));
    stack = await startConfigured({
      sections: () => ({
        storage: {
          filesystem: { rootdirectory: join(disk, 'registry') },
          delete: { enabled: true },
        },
      }),
    });
  });

  after(async () => {
    await stack?.remove();
    await mustRun('umount', [disk]);
    await rm(disk, { recursive: true });
  });

  const repository = () => `${stack.url}/v2/team/app`;

  async function startUpload(): Promise<string> {
    const response = await fetch(`${repository()}/blobs/uploads/`, { method: 'POST' });
    assert.equal(response.status, 202);
    return stack.url + response.headers.get('location');
  }

  const put = (upload: string, bytes: Buffer, digest = digestOf(bytes)) =>
    fetch(`${upload}?digest=${digest}`, { method: 'PUT', body: bytes });

  test('is 503 with Retry-After; what was acknowledged stays, and the upload can go on', async () => {
    const kept = randomBytes(2 * MiB);
    assert.equal((await put(await startUpload(), kept)).status, 201);

    // Little more than there is room for: of a body that goes on for long after the answer, a client may miss the answer.
    const large = randomBytes(6.5 * MiB);
    const ballast = join(disk, 'ballast');
    await writeFile(ballast, randomBytes(8 * MiB));
    const upload = await startUpload();
    const refused = await put(upload, large);
    assert.equal(refused.status, 503);
    assert.match(refused.headers.get('retry-after') ?? '', /^\d+$/);
    assert.match(await refused.text(), /UNAVAILABLE.*storage is full/);

    const blob = await fetch(`${repository()}/blobs/${digestOf(kept)}`);
    assert.equal(digestOf(Buffer.from(await blob.arrayBuffer())), digestOf(kept));

    await rm(ballast);
    const status = await fetch(upload);
    const received = Number(status.headers.get('range')?.split('-')[1]) + 1;
    assert.ok(received > 0 && received < large.length, `${received} bytes are there`);
    assert.equal((await put(upload, large.subarray(received), digestOf(large))).status, 201);
    const whole = await fetch(`${repository()}/blobs/${digestOf(large)}`);
    assert.equal(digestOf(Buffer.from(await whole.arrayBuffer())), digestOf(large));
  });

  test('leaves no upload behind when it is over', async () => {
    const uploads = join(disk, 'registry/docker/registry/v2/repositories/team/app/_uploads');
    assert.deepEqual(await readdir(uploads), []);
    const temporary = join(disk, 'registry/docker/registry/v2/_portcullis/tmp');
    assert.deepEqual(await readdir(temporary), []);
  });
});

describe('a disk that is full at the start', () => {
  let disk: string;
  let debug: number;
  let stack: Stack | undefined;

  before(async () => {
    disk = await mkdtemp(join(tmpdir(), 'portcullis-disk-'));
    await mustRun('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', disk]);
    debug = await freePort();
  });

  after(async () => {
    await stack?.remove();
    await mustRun('umount', [disk]);
    await rm(disk, { recursive: true });
  });

  /** Everything that is written to is on the disk. */
  async function start(): Promise<Stack> {
    return await startConfigured({
      users: { admin: 'secret' },
      sections: () => ({
        storage: { filesystem: { rootdirectory: join(disk, 'registry') } },
        portcullis: {
          auth: { state: join(disk, 'state') },
          audit: join(disk, 'audit.log'),
          core: { debug: `127.0.0.1:${debug}` },
        },
      }),
      http: { debug: { addr: '127.0.0.1:0', prometheus: { enabled: true } } },
    });
  }

  /** Until not one byte more fits. */
  async function fill(): Promise<() => Promise<void>> {
    const ballast = join(disk, 'ballast');
    const file = await open(ballast, 'a');
    for (let size = MiB; size >= 1; ) {
      const { bytesWritten } = await file
        .write(Buffer.alloc(size))
        .catch(() => ({ bytesWritten: 0 }));
      if (bytesWritten === 0) size = Math.floor(size / 2);
    }
    await file.close();
    return () => rm(ballast);
  }

  const login = { Authorization: `Basic ${btoa('admin:secret')}` };
  const ask = (method: string, path: string, body?: Buffer) =>
    fetch(`${stack?.url}/v2/${path}`, {
      method,
      headers: login,
      ...(body === undefined ? {} : { body }),
    });
  const push = (bytes: Buffer) =>
    ask('POST', `team/app/blobs/uploads/?digest=${digestOf(bytes)}`, bytes);
  const ready = async () =>
    (await (await fetch(`http://127.0.0.1:${debug}/readyz`)).json()) as Record<string, unknown>;

  async function assertServesReadsOnly(): Promise<void> {
    const refusal = await waitFor('the core to know that the storage is its own', async () => {
      const refused = await push(randomBytes(100));
      assert.equal(refused.status, 503);
      assert.match(refused.headers.get('retry-after') ?? '', /^[1-9]\d*$/);
      const text = await refused.text();
      return text.includes('until it is certain') ? undefined : text;
    });
    assert.match(refusal, /UNAVAILABLE.*the storage is full/);
    assert.equal((await ask('GET', '_catalog')).status, 200);
    await waitFor('the reason', async () => 'conditions' in (await ready()));
    assert.deepEqual(await ready(), {
      status: 'ok',
      conditions: ['writes are refused: the storage is full'],
    });
    const metrics = await (await fetch(`http://127.0.0.1:${debug}/metrics`)).text();
    assert.match(metrics, /^portcullis_writes_refused\{reason="no-space",process="core"\} 1$/m);
  }

  async function assertTakesWrites(): Promise<void> {
    const bytes = randomBytes(100);
    await waitFor('writes', async () => (await push(bytes)).status === 201);
    const blob = await ask('GET', `team/app/blobs/${digestOf(bytes)}`);
    assert.deepEqual(Buffer.from(await blob.arrayBuffer()), bytes);
    await waitFor('nothing to tell', async () => !('conditions' in (await ready())));
    const output = stack?.output() ?? '';
    assert.equal(output.match(/the storage is full: writes fail/g)?.length, 1, output);
    assert.match(output, /the storage accepts writes again/);
  }

  test('and holds no registry yet: reads are served, and writes when there is room', async () => {
    const clear = await fill();
    stack = await start();
    await assertServesReadsOnly();
    await clear();
    await assertTakesWrites();
  });

  test('and holds a registry: pulls go on, and writes when there is room', async () => {
    const kept = randomBytes(MiB);
    assert.equal((await push(kept)).status, 201);
    await stack?.remove();
    const clear = await fill();
    stack = await start();
    const blob = await ask('GET', `team/app/blobs/${digestOf(kept)}`);
    assert.equal(blob.status, 200);
    assert.equal(digestOf(Buffer.from(await blob.arrayBuffer())), digestOf(kept));
    await assertServesReadsOnly();
    await clear();
    await assertTakesWrites();
  });

  test('and had a registry that was killed: the same', async () => {
    const pids = await servicePids(stack?.child.pid ?? 0, 'core');
    const clear = await fill();
    for (const pid of pids) process.kill(pid, 'SIGKILL');
    await waitFor('the next core', async () => {
      const now = await servicePids(stack?.child.pid ?? 0, 'core');
      return (
        now.length === 1 && now[0] !== pids[0] && (await ask('GET', '_catalog')).status === 200
      );
    });
    await assertServesReadsOnly();
    await clear();
    await waitFor('writes', async () => (await push(randomBytes(100))).status === 201);
  });
});

test('a disk that has no room for another folder is no reason to stay away', async () => {
  await using folder = await createTemporaryFolder();
  const root = join(folder.path, 'disk');
  await mkdir(root);
  const mount = ['-t', 'tmpfs', 'tmpfs', root];
  await mustRun('mount', ['-o', 'nr_inodes=2', ...mount]);
  try {
    const driver = await createFilesystemDriver(join(root, 'registry'));
    const path = '/docker/registry/v2/a/b' as StoragePath;
    await assert.rejects(driver.put(path, Buffer.from('x')), { code: 'no-space' });
    await assert.rejects(driver.stat(path), { code: 'not-found' });
    await mustRun('mount', ['-o', 'remount,nr_inodes=100', ...mount]);
    await driver.put(path, Buffer.from('x'));
    assert.equal((await driver.stat(path)).size, 1);
  } finally {
    await mustRun('umount', [root]);
  }
});
