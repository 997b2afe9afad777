import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makeImage, makeLayer } from '../support/images.ts';
import { run } from '../support/run.ts';
import { launcher } from '../support/stack.ts';
import { type CoreProcess, startCoreProcess } from './core-process.ts';

const interrupt = fileURLToPath(new URL('interrupt.ts', import.meta.url));
const budget = process.env.CHAOS === undefined ? 12 : 1e6;

describe('a collector that is killed at a step of its storage', () => {
  let core: CoreProcess;
  let control: string;

  beforeEach(async () => {
    core = await startCoreProcess();
    control = join(core.root, '..', 'collector-control');
  });

  afterEach(async () => {
    await core.remove();
  });

  /** Collects at once, and frees at once what was collected before: the most that can go wrong. */
  async function collect(step: number, what: 'kill' | 'count') {
    await writeFile(control, `${step} ${what} ${randomInt(1e9)}`);
    const args = ['garbage-collect', '-m', '-q', '--delay', '0s', '--grace', '0s'];
    return await run(launcher, [...args, join(core.root, '..', 'config.yml')], {
      env: {
        NODE_OPTIONS: `--import=${interrupt}`,
        CRASH_ROOT: core.root,
        CRASH_CONTROL: control,
      },
    });
  }

  async function push(path: string, bytes: Buffer, type = 'application/octet-stream') {
    const method = path.includes('/manifests/') ? 'PUT' : 'POST';
    const { status } = await core.ask(method, path, {
      body: bytes,
      headers: { 'Content-Type': type },
    });
    assert.equal(status, 201);
  }

  async function pushImage(repository: string, tag: string) {
    const image = makeImage();
    for (const { bytes, descriptor } of image.blobs) {
      await push(`/v2/${repository}/blobs/uploads/?digest=${descriptor.digest}`, bytes);
    }
    const path = `/v2/${repository}/manifests/${tag}`;
    await push(path, image.bytes, image.descriptor.mediaType);
    return image;
  }

  test('leaves everything that is used, and the next one finishes its work', async () => {
    const kept = await pushImage('team/kept', 'latest');
    /** An image whose tag moves away, and a layer of no image: both are garbage. */
    const litter = async () => {
      await pushImage('team/kept', 'moving');
      const { bytes, descriptor } = makeLayer();
      await push(`/v2/team/litter/blobs/uploads/?digest=${descriptor.digest}`, bytes);
    };
    await litter();
    await litter();
    assert.equal((await collect(0, 'count')).code, 0);
    const total = Number(await readFile(`${control}.seen`, 'utf8'));
    assert.ok(total > 20, `${total} steps`);
    const stride = Math.max(1, Math.ceil(total / budget));
    let killed = 0;
    for (let step = 1 + randomInt(stride); step <= total; step += stride) {
      await litter();
      if ((await collect(step, 'kill')).code !== 0) killed += 1;
      for (const { bytes, descriptor } of kept.blobs) {
        const { body } = await core.ask('GET', `/v2/team/kept/blobs/${descriptor.digest}`);
        assert.ok(body.equals(bytes));
      }
      for (const tag of ['latest', 'moving']) {
        assert.equal((await core.ask('GET', `/v2/team/kept/manifests/${tag}`)).status, 200);
      }
    }
    assert.ok(killed > 3, `${killed} killed`);
    assert.equal((await collect(0, 'count')).code, 0);
    await rm(control);
    const config = join(core.root, '..', 'config.yml');
    const { code, stdout } = await run(launcher, ['fsck', '--json', config]);
    assert.equal(code, 0, stdout);
    const { summary } = JSON.parse(stdout);
    assert.deepEqual(
      [summary.manifests, summary.unreferenced.count, summary.trash.count],
      [2, 0, 0],
    );
  });
});
