import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { digestOf } from '#libs/oci/digest.ts';
import { startConfigured } from '../support/configured-stack.ts';
import {
  describeJson,
  type Fixture,
  type ImageFixture,
  makeImage,
  makeIndex,
  makeLayer,
  mediaTypes,
} from '../support/images.ts';
import { startOriginalRegistry } from '../support/original-registry.ts';
import { mustRun, run } from '../support/run.ts';
import { launcher, type Stack } from '../support/stack.ts';

async function ask(method: string, url: string, body?: Buffer, type?: string): Promise<Answer> {
  const response = await fetch(url, {
    method,
    ...(body === undefined ? {} : { body: new Uint8Array(body) }),
    headers: {
      Accept: Object.values(mediaTypes).join(','),
      ...(type ? { 'Content-Type': type } : {}),
    },
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  return { status: response.status, bytes, location: response.headers.get('location') ?? '' };
}

interface Answer {
  status: number;
  bytes: Buffer;
  location: string;
}

/** Pushes as every registry takes it: open, send, finish. */
async function pushBlob(base: string, repository: string, { bytes, descriptor }: Fixture) {
  const { location } = await ask('POST', `${base}/v2/${repository}/blobs/uploads/`);
  const url = new URL(location, base);
  url.searchParams.set('digest', descriptor.digest);
  assert.equal((await ask('PUT', url.href, bytes)).status, 201);
}

async function pushManifest(base: string, repository: string, reference: string, one: Fixture) {
  const url = `${base}/v2/${repository}/manifests/${reference}`;
  const { status, bytes } = await ask('PUT', url, one.bytes, one.descriptor.mediaType);
  assert.equal(status, 201, bytes.toString());
}

async function pushImage(base: string, repository: string, tag: string, image: ImageFixture) {
  for (const blob of image.blobs) await pushBlob(base, repository, blob);
  await pushManifest(base, repository, tag, image);
}

async function assertPullable(base: string, repository: string, image: ImageFixture) {
  const manifest = await ask(
    'GET',
    `${base}/v2/${repository}/manifests/${image.descriptor.digest}`,
  );
  assert.ok(manifest.bytes.equals(image.bytes), manifest.bytes.toString().slice(0, 300));
  for (const { bytes, descriptor } of image.blobs) {
    const blob = await ask('GET', `${base}/v2/${repository}/blobs/${descriptor.digest}`);
    assert.ok(blob.bytes.equals(bytes));
  }
}

const json = async (url: string) => JSON.parse((await ask('GET', url)).bytes.toString());

describe('a tree that docker-registry left, with everything that collects in years', () => {
  let dir: string;
  let root: string;
  let stack: Stack | undefined;
  const [kept, moved, nested, child] = [makeImage('docker'), makeImage(), makeImage(), makeImage()];
  const list = makeIndex([child], 'docker');
  const at = (path: string) => join(root, 'docker/registry/v2', path);

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'portcullis-old-'));
    root = join(dir, 'registry');
    await mkdir(root);
    const original = await startOriginalRegistry(dir, root);
    const base = `http://${original.registry}`;
    try {
      await pushImage(base, 'team/app', 'latest', moved);
      await pushImage(base, 'team/app', 'latest', kept);
      await pushImage(base, 'team/app/nested', 'v1', nested);
      await pushImage(base, 'team/app', child.descriptor.digest, child);
      await pushManifest(base, 'team/app', 'list', list);
      // An upload that broke off.
      const { location } = await ask('POST', `${base}/v2/team/app/blobs/uploads/`);
      await ask('PATCH', new URL(location, base).href, Buffer.from('half of it'));
    } finally {
      await original.stop();
    }
    // What a registry of schema 1's days kept beside a manifest.
    const hex = (image: Fixture) => image.descriptor.digest.slice('sha256:'.length);
    const signatures = at(
      `repositories/team/app/_manifests/revisions/sha256/${hex(kept)}/signatures/sha256/${'1'.repeat(64)}`,
    );
    await mkdir(signatures, { recursive: true });
    await writeFile(join(signatures, 'link'), `sha256:${'1'.repeat(64)}`);
    // A link that a crash cut to nothing: of a layer that nothing needs.
    const torn = at(`repositories/team/app/_layers/sha256/${'2'.repeat(64)}`);
    await mkdir(torn, { recursive: true });
    await writeFile(join(torn, 'link'), `sha256:${'2'.repeat(64)}`);
    await truncate(join(torn, 'link'), 0);
    await start();
  });

  async function start() {
    stack = await startConfigured({
      sections: () => ({
        storage: { filesystem: { rootdirectory: root }, delete: { enabled: true } },
      }),
    });
  }

  after(async () => {
    await stack?.remove();
    await rm(dir, { recursive: true, force: true });
  });

  const config = () => join(stack?.dir ?? '', 'config.yml');
  const base = () => stack?.url ?? '';

  async function assertAllPullable(): Promise<void> {
    await assertPullable(base(), 'team/app', kept);
    await assertPullable(base(), 'team/app', child);
    await assertPullable(base(), 'team/app/nested', nested);
  }

  test('is served whole, repositories within repositories too', async () => {
    assert.deepEqual(await json(`${base()}/v2/_catalog`), {
      repositories: ['team/app', 'team/app/nested'],
    });
    const { tags } = await json(`${base()}/v2/team/app/tags/list`);
    assert.ok(tags.includes('latest') && tags.includes('list'));
    await assertAllPullable();
    await assertPullable(base(), 'team/app', moved);
  });

  test('fsck finds the torn link and nothing else, repairs it, and is content', async () => {
    const check = async (...args: string[]) => {
      const { code, stdout } = await run(launcher, ['fsck', '--json', ...args, config()]);
      return { code, findings: JSON.parse(stdout).findings as { kind: string }[] };
    };
    const first = await check();
    assert.deepEqual([first.code, first.findings.map(({ kind }) => kind)], [4, ['torn-link']]);
    await stack?.stop();
    assert.equal((await check('--repair')).code, 0);
    await stack?.remove();
    await start();
    assert.deepEqual(await check(), { code: 0, findings: [] });
  });

  test('garbage-collect -m takes what no tag and no list keeps', async () => {
    const collect = ['garbage-collect', '-m', '--json', '--delay', '0s', '--grace', '0s', config()];
    const report = JSON.parse(await mustRun(launcher, collect));
    assert.equal(report.garbage.manifests, 1);
    const { status } = await ask(
      'GET',
      `${base()}/v2/team/app/manifests/${moved.descriptor.digest}`,
    );
    assert.equal(status, 404);
    await assertAllPullable();
  });

  test('and the original serves it again, and collects it', async () => {
    await stack?.stop();
    await mustRun('docker-registry', ['garbage-collect', join(dir, 'original.yml')]);
    const original = await startOriginalRegistry(dir, root);
    try {
      await assertPullable(`http://${original.registry}`, 'team/app', kept);
      await assertPullable(`http://${original.registry}`, 'team/app/nested', nested);
    } finally {
      await original.stop();
    }
    assert.equal((await readdir(at('repositories/team/app/_uploads'))).length, 1);
  });
});

describe('content under sha512', () => {
  let dir: string;
  let stack: Stack;

  const long = (one: Fixture): Fixture => ({
    bytes: one.bytes,
    descriptor: { ...one.descriptor, digest: digestOf(one.bytes, 'sha512') },
  });

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'portcullis-sha512-'));
    stack = await startConfigured();
  });

  after(async () => {
    await stack.remove();
    await rm(dir, { recursive: true, force: true });
  });

  test('is read by the original registry, and left alone by its garbage-collect', async () => {
    const blobs = [long(makeLayer(30, mediaTypes.ociConfig)), long(makeLayer(100_000))];
    const manifest = long(
      describeJson(mediaTypes.ociManifest, {
        schemaVersion: 2,
        mediaType: mediaTypes.ociManifest,
        config: blobs[0]?.descriptor,
        layers: [blobs[1]?.descriptor],
      }),
    );
    const image: ImageFixture = { ...manifest, blobs };
    for (const blob of blobs) await pushBlob(stack.url, 'team/long', blob);
    await pushManifest(stack.url, 'team/long', `${manifest.descriptor.digest}?tag=v1`, manifest);
    const unused = long(makeLayer(500));
    await pushBlob(stack.url, 'team/long', unused);
    await assertPullable(stack.url, 'team/long', image);
    await stack.stop();

    const root = join(stack.dir, 'registry');
    const serve = async () => {
      const original = await startOriginalRegistry(dir, root);
      try {
        const base = `http://${original.registry}`;
        await assertPullable(base, 'team/long', image);
        const tagged = await ask('GET', `${base}/v2/team/long/manifests/v1`);
        assert.ok(tagged.bytes.equals(manifest.bytes));
      } finally {
        await original.stop();
      }
    };
    await serve();
    await mustRun('docker-registry', ['garbage-collect', join(dir, 'original.yml')]);
    await serve();
  });
});
