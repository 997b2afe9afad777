import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { startConfigured } from '../support/configured-stack.ts';
import { type ImageFixture, makeImage } from '../support/images.ts';
import { mustRun, run } from '../support/run.ts';
import { spawn } from '../support/spawn.ts';
import { launcher, type Stack } from '../support/stack.ts';

const clients = 50;
const rounds = 4;

describe('garbage collected while the registry serves', () => {
  let stack: Stack;
  let config: string;

  before(async () => {
    stack = await startConfigured();
    config = join(stack.dir, 'config.yml');
  });

  after(async () => {
    await stack.remove();
  });

  async function ask(method: string, path: string, body?: Buffer, type?: string) {
    const response = await fetch(`${stack.url}${path}`, {
      method,
      ...(body === undefined ? {} : { body: new Uint8Array(body) }),
      ...(type === undefined ? {} : { headers: { 'Content-Type': type } }),
    });
    const bytes = Buffer.from(await response.arrayBuffer());
    return { status: response.status, bytes, location: response.headers.get('location') ?? '' };
  }

  async function assertStatus(expected: number, ...request: Parameters<typeof ask>) {
    const answer = await ask(...request);
    const [method, path] = request;
    assert.equal(answer.status, expected, `${method} ${path}: ${answer.bytes.subarray(0, 300)}`);
    return answer;
  }

  /** Pushes an image as docker does, relies on what it was told, and pulls it whole. */
  async function pushAndPull(repository: string, tag: string, image: ImageFixture): Promise<void> {
    const uploads = `/v2/${repository}/blobs/uploads/`;
    for (const { bytes, descriptor } of image.blobs) {
      const path = `/v2/${repository}/blobs/${descriptor.digest}`;
      const { status } = await ask('HEAD', path);
      if (status !== 200) {
        const { location } = await assertStatus(202, 'POST', uploads);
        const answer = await ask('PATCH', location, bytes);
        assert.equal(answer.status, 202);
        await assertStatus(201, 'PUT', `${answer.location}?digest=${descriptor.digest}`);
      }
      await sleep(randomInt(30));
      await assertStatus(200, 'HEAD', path);
      const mount = `/v2/shared/${repository}/blobs/uploads/?mount=${descriptor.digest}&from=${repository}`;
      await assertStatus(201, 'POST', mount);
    }
    await sleep(randomInt(50));
    const { mediaType } = image.descriptor;
    await assertStatus(201, 'PUT', `/v2/${repository}/manifests/${tag}`, image.bytes, mediaType);
    await sleep(randomInt(50));
    const pulled = await assertStatus(200, 'GET', `/v2/${repository}/manifests/${tag}`);
    assert.deepEqual(pulled.bytes, image.bytes);
    for (const { bytes, descriptor } of image.blobs) {
      const blob = await assertStatus(200, 'GET', `/v2/${repository}/blobs/${descriptor.digest}`);
      assert.ok(blob.bytes.equals(bytes));
    }
  }

  test('fifty clients never miss a blob, while collectors come, go and are killed', async () => {
    // Few images for many clients: each relies on what another one's moved tag made garbage.
    const images = Array.from({ length: 5 }, () => makeImage('oci', [4000, 300]));
    const errors: unknown[] = [];
    let working = true;
    let finished = 0;
    let killed = 0;
    const collecting = (async () => {
      while (working) {
        const args = [
          'garbage-collect',
          '--delete-untagged=true',
          '--dry-run=false',
          '-q',
          '--delay',
          '0s',
          config,
        ];
        const child = spawn(launcher, args, { stdio: ['ignore', 'ignore', 'pipe'] });
        let said = '';
        child.stderr?.on('data', (text: Buffer) => {
          said += text.toString();
        });
        const kill = Math.random() < 0.5;
        const timer = kill
          ? setTimeout(() => child.kill('SIGKILL'), randomInt(150, 900))
          : undefined;
        const code = await new Promise((resolve) => child.once('close', resolve));
        clearTimeout(timer);
        if (code === 0) finished += 1;
        else if (child.signalCode === 'SIGKILL') killed += 1;
        else errors.push(new Error(`the collector ended with ${String(code)}: ${said}`));
      }
    })();
    await Promise.all(
      Array.from({ length: clients }, async (_, client) => {
        for (let round = 0; round < rounds; round += 1) {
          const image = images[(client + round) % images.length] as ImageFixture;
          const repository = `client${client % 25}`;
          await pushAndPull(repository, `c${client}`, image).catch((error: unknown) =>
            errors.push(error),
          );
        }
      }),
    );
    working = false;
    await collecting;
    assert.deepEqual(errors, []);
    assert.ok(finished > 0, 'some collections ended');
    assert.ok(killed + finished > 1, 'several ran');
    const { code, stdout } = await run(launcher, ['fsck', config]);
    assert.equal(code, 0, stdout);
  });

  test('run as root, the commands leave nothing of root’s in somebody else’s storage', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'portcullis-owner-'));
    try {
      const root = join(dir, 'registry');
      const blobs = join(root, 'docker/registry/v2/blobs/sha256/00', '0'.repeat(64));
      await mkdir(blobs, { recursive: true });
      await writeFile(join(blobs, 'data'), 'damaged');
      await mustRun('chown', ['-R', '65534:65534', dir]);
      const path = join(dir, 'config.yml');
      await writeFile(
        path,
        stringify({ version: '0.1', storage: { filesystem: { rootdirectory: root } } }),
      );
      await mustRun(launcher, ['fsck', '--repair', path]);
      await mkdir(blobs, { recursive: true });
      await writeFile(join(blobs, 'data'), 'unreferenced');
      await mustRun('chown', ['-R', '65534:65534', root]);
      await mustRun(launcher, ['garbage-collect', '--delay', '0s', path]);
      assert.equal(await mustRun('find', [root, '-not', '-user', '65534']), '');
      assert.notEqual(await mustRun('find', [root, '-path', '*trash*', '-type', 'f']), '');
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });

  test('the command tells what is garbage, takes it, and frees it', async () => {
    const image = makeImage('oci', [200_000]);
    await pushAndPull('gone', 'v1', image);
    await assertStatus(202, 'DELETE', `/v2/gone/manifests/${image.descriptor.digest}`);
    const collect = async (...args: string[]) =>
      JSON.parse(
        await mustRun(launcher, ['garbage-collect', '--json', '--delay', '0s', ...args, config]),
      );
    const listed = await mustRun(launcher, ['garbage-collect', '-d', '--delay', '0s', config]);
    assert.match(listed, new RegExp(`blob ${image.blobs[1]?.descriptor.digest} \\(200\\.0 kB\\)`));
    assert.match(listed, /would go to the trash/);
    const first = await collect();
    assert.ok(first.garbage.bytes >= 200_000);
    assert.ok((await collect('--grace', '0s')).freed.bytes >= 200_000);
    const catalog = await assertStatus(200, 'GET', '/v2/_catalog');
    assert.ok(!JSON.parse(catalog.bytes.toString()).repositories.includes('gone'));
    const trash = join(stack.dir, 'registry/docker/registry/v2/_portcullis/trash');
    assert.deepEqual(await readdir(trash).catch(() => []), []);
  });
});
