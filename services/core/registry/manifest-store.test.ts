import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { digestOf } from '#libs/oci/digest.ts';
import { parseReference, parseRepositoryName, parseTag } from '#libs/oci/reference.ts';
import { createFailingDriver, type FailingDriver } from '../../../test/support/failing-driver.ts';
import {
  describeJson,
  type Fixture,
  type ImageFixture,
  makeImage,
  makeIndex,
  makeLayer,
  mediaTypes,
} from '../../../test/support/images.ts';
import { openRegistry } from '../../../test/support/open-registry.ts';
import { createSteppingDriver } from '../../../test/support/stepping-driver.ts';
import { StorageError } from '../storage/driver.ts';
import { createMemoryDriver } from '../storage/memory.ts';
import { checkTree } from './fsck/check-tree.ts';
import { paths } from './paths.ts';
import type { Registry } from './registry.ts';

const app = parseRepositoryName('team/app');
const other = parseRepositoryName('team/other');
const latest = parseReference('latest');
const unknown = { code: 'MANIFEST_UNKNOWN' };

describe('the manifests of a repository', () => {
  let driver: FailingDriver;
  let registry: Registry;

  beforeEach(() => {
    driver = createFailingDriver(createMemoryDriver());
    registry = openRegistry(driver);
  });

  async function giveBlobs({ blobs }: ImageFixture, repository = app): Promise<void> {
    for (const { bytes, descriptor } of blobs) {
      await driver.put(paths.blob(descriptor.digest), bytes);
      await registry.blobs.link(repository, descriptor.digest);
    }
  }

  const put = ({ bytes, descriptor }: Fixture, reference = latest, repository = app) =>
    registry.manifests.put(repository, { reference, bytes, contentType: descriptor.mediaType });

  const byDigest = ({ descriptor }: Fixture) => parseReference(descriptor.digest);

  test('an image is served by tag and by digest, byte for byte', async () => {
    const image = makeImage();
    await giveBlobs(image);
    const { digest, manifest } = await put(image);
    assert.equal(digest, image.descriptor.digest);
    assert.equal(manifest.kind, 'image');
    for (const reference of [latest, parseReference(digest)]) {
      const found = await registry.manifests.get(app, reference);
      const mediaType = mediaTypes.ociManifest;
      assert.deepEqual(found, { digest, bytes: image.bytes, mediaType });
    }
  });

  test('a delete looks at no tag for a client that has left', async () => {
    const image = makeImage();
    await giveBlobs(image);
    await put(image);
    const left = { id: '', signal: AbortSignal.abort(new Error('gone')) };
    driver.failOn('failed', (operation, path) => operation === 'list' && path.endsWith('/tags'));
    const { digest } = image.descriptor;
    await assert.rejects(registry.manifests.remove(app, digest, undefined, left), /gone/);
  });

  test('a delete that ended anywhere is finished by the next one', async () => {
    for (let stop = 1, isOver = false; !isOver; stop += 1) {
      driver = createFailingDriver(createMemoryDriver());
      registry = openRegistry(driver);
      const image = makeImage();
      await giveBlobs(image);
      const subject = { ...makeLayer().descriptor, mediaType: mediaTypes.ociManifest };
      const about = describeJson(mediaTypes.ociManifest, {
        ...(JSON.parse(String(image.bytes)) as object),
        subject,
      });
      for (const tag of ['v1', 'v2']) await put(about, parseReference(tag));
      const { digest } = about.descriptor;
      const dying = createSteppingDriver(driver, async ({ number }) => {
        if (number >= stop) throw new StorageError('failed', 'the process ended');
      });
      isOver = await openRegistry(dying)
        .manifests.remove(app, digest)
        .then(() => true)
        .catch(() => false);
      await registry.manifests.remove(app, digest).catch(({ code }: { code: string }) => {
        assert.equal(code, unknown.code);
      });
      const now = () => new Date(Date.now() + 3_600_000);
      const options = { hash: false, uploadsBefore: new Date(0), now };
      assert.deepEqual((await checkTree(driver, options)).findings, [], `ended at step ${stop}`);
    }
  });

  test('a manifest is parsed once for its media type, however often it is served', async (context) => {
    const image = makeImage();
    await giveBlobs(image);
    await put(image);
    const parsed: string[] = [];
    const parse = JSON.parse.bind(JSON);
    context.mock.method(JSON, 'parse', (text: string) => {
      parsed.push(text);
      return parse(text) as unknown;
    });
    for (let n = 0; n < 3; n += 1) await registry.manifests.get(app, latest);
    assert.equal(parsed.filter((text) => text === String(image.bytes)).length, 1);
  });

  test('pushing by digest makes no tag', async () => {
    const image = makeImage('docker');
    await giveBlobs(image);
    await put(image, byDigest(image));
    assert.equal(
      (await registry.manifests.get(app, byDigest(image))).digest,
      digestOf(image.bytes),
    );
    assert.deepEqual((await registry.tags.list(app, { last: '', limit: 9 })).tags, []);
  });

  test('bytes other than those of the digest are refused', async () => {
    const [image, another] = [makeImage(), makeImage()];
    await giveBlobs(image);
    await assert.rejects(put(image, byDigest(another)), { code: 'DIGEST_INVALID' });
    await assert.rejects(registry.manifests.get(app, byDigest(another)), unknown);
    await assert.rejects(registry.manifests.get(app, byDigest(image)), unknown);
  });

  test('a sha512 reference is kept as such', async () => {
    const image = makeImage();
    await giveBlobs(image);
    const reference = parseReference(digestOf(image.bytes, 'sha512'));
    const { digest } = await put(image, reference);
    assert.ok(digest.startsWith('sha512:'));
    assert.deepEqual((await registry.manifests.get(app, reference)).bytes, image.bytes);
  });

  test('a missing blob is named, and nothing is stored', async () => {
    const image = makeImage();
    await giveBlobs(image);
    const missing = image.blobs[1]?.descriptor.digest;
    assert.ok(missing !== undefined);
    await registry.blobs.remove(app, missing);
    await assert.rejects(put(image), {
      code: 'MANIFEST_BLOB_UNKNOWN',
      detail: { missing: [missing] },
    });
    await assert.rejects(registry.manifests.get(app, latest), unknown);
    await assert.rejects(registry.manifests.get(app, byDigest(image)), unknown);
  });

  test('blobs of another repository do not count', async () => {
    const image = makeImage();
    await giveBlobs(image, other);
    await assert.rejects(put(image), { code: 'MANIFEST_BLOB_UNKNOWN' });
  });

  test('layers that may not be handed on need not be here', async () => {
    const config = makeLayer(10, mediaTypes.dockerConfig);
    const foreign = makeLayer(10, 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip');
    const image = describeJson(mediaTypes.dockerManifest, {
      schemaVersion: 2,
      mediaType: mediaTypes.dockerManifest,
      config: config.descriptor,
      layers: [{ ...foreign.descriptor, urls: ['https://example.test/layer'] }],
    });
    await giveBlobs({ ...image, blobs: [config] });
    await put(image);
    assert.deepEqual((await registry.manifests.get(app, latest)).bytes, image.bytes);
  });

  test('an index needs its images in this repository', async () => {
    const image = makeImage();
    const index = makeIndex([image]);
    await giveBlobs(image);
    await giveBlobs(image, other);
    await put(image, byDigest(image), other);
    await assert.rejects(put(index), { code: 'MANIFEST_BLOB_UNKNOWN' });
    await put(image, byDigest(image));
    const { manifest } = await put(index);
    assert.equal(manifest.kind, 'index');
    assert.equal((await registry.manifests.get(app, latest)).mediaType, mediaTypes.ociIndex);
  });

  test('a manifest is not served through a repository it does not belong to', async () => {
    const image = makeImage();
    await giveBlobs(image);
    await put(image);
    await assert.rejects(registry.manifests.get(other, byDigest(image)), unknown);
  });

  test('a subject need not exist', async () => {
    const config = makeLayer(10, 'application/vnd.oci.empty.v1+json');
    const signature = describeJson(mediaTypes.ociManifest, {
      schemaVersion: 2,
      config: config.descriptor,
      layers: [],
      subject: makeImage().descriptor,
    });
    await giveBlobs({ ...signature, blobs: [config] });
    await put(signature);
    // Without a mediaType of its own, what it holds tells what it is.
    const { mediaType } = await registry.manifests.get(app, latest);
    assert.equal(mediaType, mediaTypes.ociManifest);
  });

  test('moving a tag leaves the manifest it pointed at', async () => {
    const images = [makeImage(), makeImage()];
    for (const image of images) {
      await giveBlobs(image);
      await put(image);
    }
    const [old, current] = images as [ImageFixture, ImageFixture];
    assert.deepEqual((await registry.manifests.get(app, latest)).bytes, current.bytes);
    assert.deepEqual((await registry.manifests.get(app, byDigest(old))).bytes, old.bytes);
  });

  test('removing a tag leaves its manifest', async () => {
    const image = makeImage();
    await giveBlobs(image);
    await put(image);
    await registry.manifests.removeTag(app, parseTag('latest'));
    await assert.rejects(registry.manifests.get(app, latest), unknown);
    assert.deepEqual((await registry.manifests.get(app, byDigest(image))).bytes, image.bytes);
  });

  test('removing a manifest takes its tags, here only', async () => {
    const image = makeImage();
    for (const repository of [app, other]) {
      await giveBlobs(image, repository);
      await put(image, latest, repository);
    }
    await put(image, parseReference('v1'));
    await registry.manifests.remove(app, image.descriptor.digest);
    assert.deepEqual((await registry.tags.list(app, { last: '', limit: 9 })).tags, []);
    await assert.rejects(registry.manifests.get(app, byDigest(image)), unknown);
    await assert.rejects(registry.manifests.remove(app, image.descriptor.digest), unknown);
    assert.deepEqual((await registry.manifests.get(other, latest)).bytes, image.bytes);
  });

  test('a tag whose manifest is gone or torn is unknown', async () => {
    const image = makeImage();
    await giveBlobs(image);
    await put(image);
    await driver.put(paths.revisionLink(app, image.descriptor.digest), Buffer.from('sha256:12'));
    await assert.rejects(registry.manifests.get(app, latest), unknown);
    await put(image);
    await driver.remove(paths.blob(image.descriptor.digest));
    await assert.rejects(registry.manifests.get(app, latest), unknown);
  });

  test('a push that fails at any step can be repeated, and the old tag holds until then', async () => {
    const [old, fresh] = [makeImage(), makeImage()];
    for (const image of [old, fresh]) await giveBlobs(image);
    await put(old);
    for (let step = 0; step < 4; step += 1) {
      let count = 0;
      driver.failOn('no-space', (operation) => operation === 'put' && count++ === step);
      await assert.rejects(put(fresh), { code: 'no-space' }, `step ${step}`);
      driver.recover();
      assert.deepEqual((await registry.manifests.get(app, latest)).bytes, old.bytes);
    }
    await put(fresh);
    assert.deepEqual((await registry.manifests.get(app, latest)).bytes, fresh.bytes);
  });
});
