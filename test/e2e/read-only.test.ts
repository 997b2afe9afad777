import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startConfigured } from '../support/configured-stack.ts';
import { writeOciLayout } from '../support/oci-layout.ts';
import { mustRun } from '../support/run.ts';
import { prepareSkopeo, type Skopeo } from '../support/skopeo.ts';
import { type Stack, startStack } from '../support/stack.ts';
import { waitFor } from '../support/wait-for.ts';

describe('read-only mode', () => {
  let stack: Stack;
  let skopeo: Skopeo;
  let layout: string;

  before(async () => {
    stack = await startConfigured();
    layout = join(stack.dir, 'layout');
    await writeOciLayout(layout, [1000]);
    skopeo = await prepareSkopeo({ dir: stack.dir });
    const image = `docker://127.0.0.1:${stack.port}/team/app:v1`;
    assert.equal((await skopeo.copy(`oci:${layout}:v1`, image)).code, 0);
    await stack.stop();
    const root = join(stack.dir, 'registry');
    await mustRun('mount', ['--bind', root, root]);
    await mustRun('mount', ['-o', 'remount,bind,ro', root]);
    const again = await startStack({
      dir: stack.dir,
      port: stack.port,
      args: ['serve', join(stack.dir, 'config.yml')],
      env: { REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED: 'true' },
    });
    stack = { ...again, url: stack.url };
  });

  after(async () => {
    await stack.stop();
    await mustRun('umount', [join(stack.dir, 'registry')]);
    await stack.remove();
  });

  test('serves what is there, from a folder that cannot be written', async () => {
    const { code, stderr } = await skopeo.copy(
      `docker://127.0.0.1:${stack.port}/team/app:v1`,
      `oci:${join(stack.dir, 'pulled')}:v1`,
    );
    assert.equal(code, 0, stderr);
    assert.deepEqual(await (await fetch(`${stack.url}/v2/_catalog`)).json(), {
      repositories: ['team/app'],
    });
  });

  test('refuses everything that would write with 405, and says why', async () => {
    for (const [method, path] of [
      ['POST', '/v2/team/app/blobs/uploads/'],
      ['PUT', '/v2/team/app/manifests/v2'],
      ['DELETE', '/v2/team/app/manifests/v1'],
    ] as const) {
      const answer = await fetch(stack.url + path, { method });
      assert.equal(answer.status, 405, path);
      assert.match(await answer.text(), /UNSUPPORTED.*read-only mode/);
    }
  });
});

test('a filesystem that is read-only for the moment is served, and written to when it takes writes again', async () => {
  const before = await startConfigured();
  const { dir, port, url } = before;
  const root = join(dir, 'registry');
  const begin = async () =>
    (await fetch(`${url}/v2/team/app/blobs/uploads/`, { method: 'POST' })).status;
  assert.equal(await begin(), 202);
  await before.stop();
  await mustRun('mount', ['--bind', root, root]);
  await mustRun('mount', ['-o', 'remount,bind,ro', root]);
  let stack: Stack | undefined;
  try {
    stack = await startStack({ dir, port, args: ['serve', join(dir, 'config.yml')] });
    assert.equal((await fetch(`${url}/v2/_catalog`)).status, 200);
    assert.equal(await begin(), 503);
    await mustRun('mount', ['-o', 'remount,bind,rw', root]);
    await waitFor('writes', async () => (await begin()) === 202);
  } finally {
    await stack?.stop();
    await mustRun('umount', [root]);
    await before.remove();
  }
});
