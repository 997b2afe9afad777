import assert from 'node:assert/strict';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startConfigured } from '../support/configured-stack.ts';
import { writeOciLayout } from '../support/oci-layout.ts';
import { type OriginalRegistry, startOriginalRegistry } from '../support/original-registry.ts';
import { mustRun } from '../support/run.ts';
import { prepareSkopeo, type Skopeo } from '../support/skopeo.ts';

describe('the tree on disk is the original registry’s', () => {
  let dir: string;
  let skopeo: Skopeo;
  let layout: string;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'portcullis-compat-'));
    layout = join(dir, 'layout');
    await writeOciLayout(layout, [500_000, 20]);
    skopeo = await prepareSkopeo({ dir });
  });

  after(async () => {
    await rm(dir, { recursive: true, force: true });
  });

  const push = async (registry: string, name: string) => {
    const { code, stderr } = await skopeo.copy(`oci:${layout}:v1`, `docker://${registry}/${name}`);
    assert.equal(code, 0, stderr);
    return (await skopeo.inspect(`docker://${registry}/${name}`)).Digest;
  };
  const pull = async (registry: string, name: string, digest: string) => {
    const { code, stderr } = await skopeo.copy(
      `docker://${registry}/${name}@${digest}`,
      `dir:${await mkdtemp(join(dir, 'pulled-'))}`,
    );
    assert.equal(code, 0, stderr);
  };
  const list = async (registry: string, path: string) =>
    JSON.parse(await mustRun('curl', ['-sf', `http://${registry}/v2/${path}`])) as unknown;

  test('the original serves, extends and collects a tree that we wrote', async () => {
    const root = join(dir, 'ours');
    const stack = await startConfigured({
      sections: () => ({ storage: { filesystem: { rootdirectory: root } } }),
    });
    let digest: string;
    try {
      digest = await push(`127.0.0.1:${stack.port}`, 'team/app:v1');
      // An upload that is never finished must not disturb the original either.
      await mustRun('curl', ['-sf', '-X', 'POST', `${stack.url}/v2/team/app/blobs/uploads/`]);
    } finally {
      await stack.remove();
    }
    let original: OriginalRegistry | undefined;
    try {
      original = await startOriginalRegistry(dir, root);
      assert.deepEqual(await list(original.registry, '_catalog'), { repositories: ['team/app'] });
      assert.deepEqual(await list(original.registry, 'team/app/tags/list'), {
        name: 'team/app',
        tags: ['v1'],
      });
      await pull(original.registry, 'team/app', digest);
      assert.equal(await push(original.registry, 'team/app:v2'), digest);
    } finally {
      await original?.stop();
    }
    await mustRun('docker-registry', ['garbage-collect', join(dir, 'original.yml')]);
    original = await startOriginalRegistry(dir, root);
    try {
      await pull(original.registry, 'team/app', digest);
    } finally {
      await original.stop();
    }
  });

  test('we serve and extend a tree that the original wrote', async () => {
    const root = join(dir, 'theirs');
    const original = await startOriginalRegistry(dir, root);
    let digest: string;
    try {
      digest = await push(original.registry, 'library/old:v1');
      await push(original.registry, 'library/old/nested:v1');
    } finally {
      await original.stop();
    }
    const untouched = join(dir, 'theirs-before');
    await cp(root, untouched, { recursive: true });
    const stack = await startConfigured({
      sections: () => ({ storage: { filesystem: { rootdirectory: root } } }),
    });
    try {
      const registry = `127.0.0.1:${stack.port}`;
      assert.deepEqual(await list(registry, '_catalog'), {
        repositories: ['library/old', 'library/old/nested'],
      });
      await pull(registry, 'library/old', digest);
      assert.equal(await push(registry, 'library/old:v2'), digest);
    } finally {
      await stack.remove();
    }
    const changed = await mustRun('sh', ['-c', `diff -r "$1" "$2" || true`, 'sh', untouched, root]);
    assert.doesNotMatch(changed, /^(?:diff|Only in .*theirs-before)/m);
  });
});
