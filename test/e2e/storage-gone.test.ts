import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { digestOf } from '#libs/oci/digest.ts';
import { startConfigured } from '../support/configured-stack.ts';
import { makeImage } from '../support/images.ts';
import { basic, push } from '../support/observed-stack.ts';
import { run } from '../support/run.ts';
import { servicePids } from '../support/stack.ts';
import { waitFor } from '../support/wait-for.ts';

test('a storage that goes away, as one that is unmounted, is told, not made again, and served when it is back', async () => {
  const stack = await startConfigured({ users: { alice: 'a good password' } });
  try {
    const image = makeImage();
    for (const { bytes, descriptor } of image.blobs) {
      await push(stack, 'alice/app', bytes, descriptor.digest);
    }
    const blob = `${stack.url}/v2/alice/app/blobs/${image.blobs[0]?.descriptor.digest}`;
    const head = async () => (await fetch(blob, { method: 'HEAD', headers: basic })).status;
    assert.equal(await head(), 200);
    const root = join(stack.dir, 'registry');
    await rename(join(root, 'docker'), join(stack.dir, 'away'));
    await waitFor('it to be told', async () => (await head()) === 503);
    const started = await fetch(`${stack.url}/v2/alice/app/blobs/uploads/`, {
      method: 'POST',
      headers: basic,
    });
    assert.equal(started.status, 503);
    assert.match(await started.text(), /the storage is not there/);
    assert.match(stack.output(), /v2 is gone; put it back, or mount its filesystem again/);
    // Ownership of the tree is looked at every few seconds.
    await waitFor('it to be claimed in vain', () => /claim/.test(stack.output()));
    assert.equal(existsSync(join(root, 'docker')), false);
    // Nor does a core that starts while it is away take an empty folder for a new registry.
    const [pid = 0] = await servicePids(stack.child.pid ?? 0, 'core');
    process.kill(pid, 'SIGKILL');
    await waitFor('it to be told by the next one', () =>
      /portcullis core: .*v2 is gone/.test(stack.output()),
    );
    assert.equal(existsSync(join(root, 'docker')), false);
    assert.ok([502, 503].includes(await head()));
    await rename(join(stack.dir, 'away'), join(root, 'docker'));
    await waitFor('it to be served again', async () => (await head()) === 200);
    // A core that was killed had the storage: the next one waits until that is certain to be over.
    const more = Buffer.from('more');
    const url = `${stack.url}/v2/alice/app/blobs/uploads/?digest=${digestOf(more)}`;
    await waitFor('writes', async () => {
      const answer = await fetch(url, {
        method: 'POST',
        headers: basic,
        body: new Uint8Array(more),
      });
      return answer.status === 201;
    });
  } finally {
    await stack.remove();
  }
});

test('a storage that was mounted after the start is missed by a core that starts when it is gone', async (context) => {
  const stack = await startConfigured({ users: { alice: 'a good password' } });
  const root = join(stack.dir, 'registry');
  let isMounted = false;
  try {
    isMounted = (await run('mount', ['-t', 'tmpfs', 'tmpfs', root])).code === 0;
    if (!isMounted) return context.skip('nothing can be mounted here');
    await mkdir(join(root, 'docker/registry/v2'), { recursive: true });
    const start = async () => {
      const url = `${stack.url}/v2/alice/app/blobs/uploads/`;
      return (await fetch(url, { method: 'POST', headers: basic })).status;
    };
    await waitFor('what is mounted to be used', async () => (await start()) === 202);
    assert.ok(existsSync(join(root, 'docker/registry/v2/repositories/alice/app')));
    assert.equal((await run('umount', [root])).code, 0);
    isMounted = false;
    const [pid = 0] = await servicePids(stack.child.pid ?? 0, 'core');
    process.kill(pid, 'SIGKILL');
    await waitFor('it to be told', () => /portcullis core: .*v2 is gone/.test(stack.output()));
    assert.ok([502, 503].includes(await start()));
    assert.equal(existsSync(join(root, 'docker/registry/v2/repositories/alice')), false);
  } finally {
    if (isMounted) await run('umount', [root]);
    await stack.remove();
  }
});
