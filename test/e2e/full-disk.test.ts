import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startConfigured } from '../support/configured-stack.ts';
import { mustRun } from '../support/run.ts';
import type { Stack } from '../support/stack.ts';

const MiB = 1024 * 1024;
const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

describe('a full disk', () => {
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

    const large = randomBytes(10 * MiB);
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
