import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { digestOf } from '#libs/oci/digest.ts';
import {
  type Core,
  pushBlob,
  pushImage,
  pushManifest,
  type Received,
  startCore,
} from '../support/core.ts';
import { describeEachStorage, type OpenStorage } from '../support/each-storage.ts';
import { makeImage, makeIndex, makeLayer, mediaTypes } from '../support/images.ts';

const MiB = 1024 * 1024;

describeEachStorage('manifests through the API', (open) => {
  let storage: OpenStorage;
  let core: Core;

  before(async () => {
    storage = await open();
    core = await startCore({ driver: storage.driver });
  });

  after(async () => {
    await core.close();
    await storage.close();
  });

  function assertError({ status, codes }: Received, expected: [number, string]): void {
    assert.deepEqual([status, ...codes], expected);
  }

  for (const flavour of ['oci', 'docker'] as const) {
    test(`a ${flavour} image comes back byte for byte, by tag and by digest`, async () => {
      const image = makeImage(flavour);
      const { digest, mediaType } = image.descriptor;
      const pushed = await pushImage(core, `team/${flavour}`, image, 'v1');
      assert.equal(pushed.status, 201, pushed.text);
      assert.equal(pushed.headers.location, `/v2/team/${flavour}/manifests/${digest}`);
      assert.equal(pushed.headers['docker-content-digest'], digest);
      for (const reference of ['v1', digest]) {
        const answer = await core.send('GET', `/v2/team/${flavour}/manifests/${reference}`);
        assert.equal(answer.status, 200);
        assert.deepEqual(answer.body, image.bytes);
        assert.equal(answer.headers['content-type'], mediaType);
        assert.equal(answer.headers['docker-content-digest'], digest);
        assert.equal(answer.headers.etag, `"${digest}"`);
        assert.equal(answer.headers['content-length'], String(image.bytes.length));
      }
    });

    test(`a ${flavour} index of several images comes back byte for byte`, async () => {
      const images = [makeImage(flavour), makeImage(flavour)];
      for (const image of images) await pushImage(core, `team/${flavour}-many`, image);
      const index = makeIndex(images, flavour);
      const pushed = await pushManifest(core, `team/${flavour}-many`, index, 'v1');
      assert.equal(pushed.status, 201, pushed.text);
      const answer = await core.send('GET', `/v2/team/${flavour}-many/manifests/v1`);
      assert.deepEqual(answer.body, index.bytes);
      assert.equal(answer.headers['content-type'], index.descriptor.mediaType);
    });
  }

  test('an index of indexes is taken', async () => {
    const image = makeImage();
    await pushImage(core, 'team/nested', image);
    const inner = makeIndex([image]);
    await pushManifest(core, 'team/nested', inner);
    const { status } = await pushManifest(core, 'team/nested', makeIndex([inner]), 'v1');
    assert.equal(status, 201);
  });

  test('a Content-Type with parameters is read as its bare type', async () => {
    const image = makeImage();
    for (const blob of image.blobs) await pushBlob(core, 'team/params', blob);
    const headers = { 'Content-Type': `${image.descriptor.mediaType}; charset=utf-8` };
    assert.equal((await pushManifest(core, 'team/params', image, 'v1', headers)).status, 201);
  });

  test('a manifest that names absent blobs is refused, and they are named', async () => {
    const image = makeImage();
    const [present, ...absent] = image.blobs;
    assert.ok(present !== undefined);
    await pushBlob(core, 'team/absent', present);
    const answer = await pushManifest(core, 'team/absent', image, 'v1');
    assertError(answer, [404, 'MANIFEST_BLOB_UNKNOWN']);
    const { errors } = JSON.parse(answer.text) as { errors: { detail: { missing: string[] } }[] };
    assert.deepEqual(
      errors[0]?.detail.missing,
      absent.map(({ descriptor }) => descriptor.digest),
    );
    assertError(await core.send('GET', '/v2/team/absent/manifests/v1'), [404, 'MANIFEST_UNKNOWN']);
  });

  test('an index that names absent images is refused', async () => {
    const answer = await pushManifest(core, 'team/absent', makeIndex([makeImage()]), 'v1');
    assertError(answer, [404, 'MANIFEST_BLOB_UNKNOWN']);
  });

  test('a digest in the path that is not that of the bytes is refused', async () => {
    const image = makeImage();
    for (const blob of image.blobs) await pushBlob(core, 'team/digest', blob);
    const wrong = digestOf(Buffer.from('other'));
    const answer = await pushManifest(core, 'team/digest', image, wrong);
    assertError(answer, [400, 'DIGEST_INVALID']);
  });

  const blob = makeLayer(10);
  const config = { ...blob.descriptor, mediaType: mediaTypes.ociConfig };
  const whole = { schemaVersion: 2, mediaType: mediaTypes.ociManifest, config, layers: [] };
  const json = (changes: Record<string, unknown>) => JSON.stringify({ ...whole, ...changes });

  for (const [what, body, contentType] of [
    ['is empty', '', mediaTypes.ociManifest],
    ['is not JSON', 'not json', mediaTypes.ociManifest],
    ['is no object', '[]', mediaTypes.ociManifest],
    ['is cut off', json({}).slice(0, -1), mediaTypes.ociManifest],
    ['is not UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), mediaTypes.ociManifest],
    ['has an unknown media type', json({ mediaType: 'text/plain' }), 'text/plain'],
    ['comes under an unknown media type', json({}), 'application/json'],
    ['comes under another media type', json({}), mediaTypes.dockerManifest],
    ['is of Docker’s first schema', '{}', 'application/vnd.docker.distribution.manifest.v1+json'],
    ['has another schemaVersion', json({ schemaVersion: 1 }), mediaTypes.ociManifest],
    ['has no config', json({ config: undefined }), mediaTypes.ociManifest],
    ['has a layer that is none', json({ layers: ['x'] }), mediaTypes.ociManifest],
    [
      'has a bad digest',
      json({ config: { ...config, digest: 'sha256:1' } }),
      mediaTypes.ociManifest,
    ],
    ['has a bad size', json({ config: { ...config, size: -1 } }), mediaTypes.ociManifest],
    ['has both layers and manifests', json({ manifests: [] }), mediaTypes.ociManifest],
    ['has a duplicate key', json({}).replace('{', '{"layers":[],'), mediaTypes.ociManifest],
    [
      'has an escaped duplicate key',
      json({}).replace('{', '{"l\\u0061yers":[],'),
      mediaTypes.ociManifest,
    ],
    [
      'has a duplicate key deep down',
      json({ annotations: {} }).replace('{}', '{"a":"1","a":"2"}'),
      mediaTypes.ociManifest,
    ],
    ['has a key in another case', json({ Layers: [] }), mediaTypes.ociManifest],
    ['is nested without end', '['.repeat(100_000) + ']'.repeat(100_000), mediaTypes.ociManifest],
  ] as const) {
    test(`a manifest that ${what} is refused and not stored`, async () => {
      await pushBlob(core, 'team/bad', blob);
      const headers = { 'Content-Type': contentType };
      const answer = await core.send('PUT', '/v2/team/bad/manifests/v1', { body, headers });
      assertError(answer, [400, 'MANIFEST_INVALID']);
      assert.ok(answer.text.length < 2000, 'the answer does not repeat what came');
      assert.equal((await core.send('HEAD', '/v2/team/bad/manifests/v1')).status, 404);
    });
  }

  test('the manifest those are made of is good', async () => {
    await pushBlob(core, 'team/bad', blob);
    const headers = { 'Content-Type': mediaTypes.ociManifest };
    const answer = await core.send('PUT', '/v2/team/bad/manifests/good', {
      body: json({}),
      headers,
    });
    assert.equal(answer.status, 201, answer.text);
  });

  test('4 MiB are taken, a byte more is 413, announced or not', async () => {
    await pushBlob(core, 'team/large', blob);
    const headers = { 'Content-Type': mediaTypes.ociManifest };
    const path = '/v2/team/large/manifests/v1';
    const filled = (size: number) => Buffer.from(json({}).padEnd(size, ' '));
    assert.equal((await core.send('PUT', path, { body: filled(4 * MiB), headers })).status, 201);
    const tooLarge = filled(4 * MiB + 1);
    const announced = await core.send('PUT', path, { body: tooLarge, headers });
    assertError(announced, [413, 'CONTENT_TOO_LARGE']);
    const parts = [tooLarge.subarray(0, 2 * MiB), tooLarge.subarray(2 * MiB)];
    const chunked = await core.send('PUT', path, { body: parts, headers });
    assertError(chunked, [413, 'CONTENT_TOO_LARGE']);
  });

  test('a tag moves to what was pushed last', async () => {
    const [old, fresh] = [makeImage(), makeImage()];
    await pushImage(core, 'team/moved', old, 'latest');
    await pushImage(core, 'team/moved', fresh, 'latest');
    const { body } = await core.send('GET', '/v2/team/moved/manifests/latest');
    assert.deepEqual(body, fresh.bytes);
    const byDigest = `/v2/team/moved/manifests/${old.descriptor.digest}`;
    assert.deepEqual((await core.send('GET', byDigest)).body, old.bytes);
  });

  test('deleting a tag keeps the manifest; deleting the manifest takes its tags', async () => {
    const image = makeImage();
    for (const tag of ['a', 'b', 'c']) await pushImage(core, 'team/deleted', image, tag);
    const path = '/v2/team/deleted/manifests';
    assert.equal((await core.send('DELETE', `${path}/a`)).status, 202);
    assertError(await core.send('GET', `${path}/a`), [404, 'MANIFEST_UNKNOWN']);
    assertError(await core.send('DELETE', `${path}/a`), [404, 'MANIFEST_UNKNOWN']);
    assert.equal((await core.send('GET', `${path}/b`)).status, 200);
    const { digest } = image.descriptor;
    assert.equal((await core.send('DELETE', `${path}/${digest}`)).status, 202);
    for (const reference of ['b', 'c', digest]) {
      assertError(await core.send('GET', `${path}/${reference}`), [404, 'MANIFEST_UNKNOWN']);
    }
  });

  test('a percent-encoded digest is the same digest', async () => {
    const image = makeImage();
    await pushImage(core, 'team/encoded', image);
    const reference = image.descriptor.digest.replace(':', '%3A');
    assert.equal((await core.send('GET', `/v2/team/encoded/manifests/${reference}`)).status, 200);
  });
});
