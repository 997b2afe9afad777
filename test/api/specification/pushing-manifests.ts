import assert from 'node:assert/strict';
import { digestOf } from '#libs/oci/digest.ts';
import { maxManifestSize } from '#libs/oci/manifest.ts';
import { makeImage, mediaTypes } from '../../support/images.ts';
import { anyImage, documentOf, images, objects, referrers } from './data-sets.ts';
import { expectAbsent, expectPullable, expectStatus, jsonOf } from './ground.ts';
import { must, once, type Requirement, should } from './requirement.ts';

const push = 'Push';
const manifests = 'Pushing Manifests';
const withSubject = 'Pushing Manifests with Subject';

const someTags = Array.from({ length: 12 }, (_, index) => `1.${index}-${'x'.repeat(index)}`);

/** An image's absent blobs may be told apart from its own. */
const unrelated = images.filter(({ blobs }) => blobs.length > 0);

export const pushingManifests: readonly Requirement[] = [
  must(
    push,
    'a subject need not be there before what is about it',
    referrers,
    async (ground, object) => {
      const { subject } = documentOf(object);
      await ground.push(object);
      const parts = object.parts.map(({ descriptor }) => descriptor.digest as string);
      if (!parts.includes(subject?.digest ?? '')) {
        await expectAbsent(ground, `manifests/${subject?.digest}`);
      }
    },
  ),

  must(
    push,
    'a manifest refused for want of its blobs is MANIFEST_BLOB_UNKNOWN',
    unrelated,
    async (ground, object) => {
      const { bytes, descriptor } = object.root;
      const headers = { 'Content-Type': descriptor.mediaType };
      const answer = await ground.send('PUT', 'manifests/v1', { body: bytes, headers });
      assert.ok(answer.status >= 400 && answer.status < 500, answer.text);
      assert.deepEqual([...new Set(answer.codes)], ['MANIFEST_BLOB_UNKNOWN']);
      await expectAbsent(ground, 'manifests/v1', `manifests/${descriptor.digest}`);
    },
  ),

  must(
    manifests,
    'PUT by digest is 201, at a Location to pull from',
    objects,
    async (ground, object) => {
      await expectPullable(ground, await ground.push(object), object.root.bytes);
    },
  ),

  must(
    manifests,
    'PUT by tag is 201, at a Location to pull from',
    objects,
    async (ground, object) => {
      await expectPullable(ground, await ground.push(object, 'v1'), object.root.bytes);
    },
  ),

  must(
    manifests,
    'Docker-Content-Digest is the digest that was given',
    objects,
    async (ground, object) => {
      const { headers } = await ground.push(object);
      assert.equal(headers['docker-content-digest'], object.root.descriptor.digest);
    },
  ),

  must(
    manifests,
    'a manifest that is there already may be pushed again',
    objects,
    async (ground, object) => {
      await ground.push(object, 'v1');
      await expectPullable(ground, await ground.push(object, 'v1'), object.root.bytes);
    },
  ),

  should(
    manifests,
    'parameters of the Content-Type are passed over',
    objects,
    async (ground, object) => {
      const { bytes, descriptor } = object.root;
      await ground.push(object);
      const headers = { 'Content-Type': `${descriptor.mediaType}; charset=utf-8` };
      expectStatus(await ground.send('PUT', 'manifests/v1', { body: bytes, headers }), 201);
      expectStatus(await ground.send('GET', 'manifests/v1'), 200);
    },
  ),

  must(
    manifests,
    'a Content-Type other than the manifest’s own mediaType is refused',
    objects.filter((object) => documentOf(object).mediaType !== undefined),
    async (ground, object) => {
      const { bytes, descriptor } = object.root;
      for (const one of [...object.blobs]) await ground.pushBlob(one);
      for (const type of Object.values(mediaTypes)) {
        if (type === descriptor.mediaType) continue;
        const headers = { 'Content-Type': type };
        const answer = await ground.send('PUT', 'manifests/v1', { body: bytes, headers });
        expectStatus(answer, 400, 'MANIFEST_INVALID');
      }
      await expectAbsent(ground, 'manifests/v1', `manifests/${descriptor.digest}`);
    },
  ),

  must(
    manifests,
    'bytes of another digest are refused, and nothing is stored',
    objects,
    async (ground, object) => {
      const { bytes, descriptor } = object.root;
      const { digest: wrong } = makeImage().descriptor;
      for (const one of object.blobs) await ground.pushBlob(one);
      const headers = { 'Content-Type': descriptor.mediaType };
      for (const reference of [wrong, digestOf(Buffer.from(wrong), 'sha512')]) {
        const answer = await ground.send('PUT', `manifests/${reference}`, { body: bytes, headers });
        assert.equal(answer.status, 400, answer.text);
        await expectAbsent(ground, `manifests/${reference}`);
      }
      await expectAbsent(ground, `manifests/${descriptor.digest}`);
    },
  ),

  must(
    manifests,
    'a digest that is none is refused',
    [
      'sha256:',
      'sha256:12',
      'md5:d41d8cd98f00b204e9800998ecf8427e',
      `made-up:${'a'.repeat(64)}`,
    ].map((name) => ({ name })),
    async (ground, { name }) => {
      await ground.push(anyImage);
      const headers = { 'Content-Type': anyImage.root.descriptor.mediaType };
      const body = anyImage.root.bytes;
      const answer = await ground.send('PUT', `manifests/${name}`, { body, headers });
      expectStatus(answer, 400, 'DIGEST_INVALID');
    },
  ),

  must(
    manifests,
    'what is no manifest is MANIFEST_INVALID',
    ['', '{', '[]', 'null', '{}', '"x"'].map((name) => ({ name })),
    async (ground, { name }) => {
      const headers = { 'Content-Type': mediaTypes.ociManifest };
      const answer = await ground.send('PUT', 'manifests/v1', { body: name, headers });
      expectStatus(answer, 400, 'MANIFEST_INVALID');
      await expectAbsent(ground, 'manifests/v1');
    },
  ),

  must(
    manifests,
    'a tag that is pushed again moves, and what it pointed at stays',
    objects,
    async (ground, object) => {
      const { digest } = object.root.descriptor;
      const [other] = objects.filter((one) => one.root.descriptor.digest !== digest);
      assert.ok(other);
      await ground.push(other, 'v1');
      await ground.push(object, 'v1');
      const answer = await ground.send('GET', 'manifests/v1');
      assert.ok(answer.body.equals(object.root.bytes));
      expectStatus(await ground.send('GET', `manifests/${other.root.descriptor.digest}`), 200);
    },
  ),

  should(
    manifests,
    'a push by digest sets all the tags it names, ten at least',
    objects,
    async (ground, object) => {
      await ground.push(object);
      const { bytes, descriptor } = object.root;
      const query = someTags.map((tag) => `tag=${tag}`).join('&');
      const headers = { 'Content-Type': descriptor.mediaType };
      const path = `manifests/${descriptor.digest}?${query}`;
      expectStatus(await ground.send('PUT', path, { body: bytes, headers }), 201);
      for (const tag of someTags) {
        const answer = await ground.send('HEAD', `manifests/${tag}`);
        expectStatus(answer, 200);
        assert.equal(answer.headers['docker-content-digest'], descriptor.digest);
      }
    },
  ),

  must(manifests, 'OCI-Tag names each tag that was set', objects, async (ground, object) => {
    await ground.push(object);
    const { bytes, descriptor } = object.root;
    const query = someTags.map((tag) => `tag=${tag}`).join('&');
    const answer = await ground.send('PUT', `manifests/${descriptor.digest}?${query}`, {
      body: bytes,
      headers: { 'Content-Type': descriptor.mediaType },
    });
    const told = String(answer.headers['oci-tag']).split(',');
    assert.deepEqual(told.map((tag) => tag.trim()).sort(), [...someTags].sort());
  }),

  must(manifests, 'OCI-Tag is not sent for tags that were not asked for', once, async (ground) => {
    for (const tag of ['v1', undefined]) {
      const { headers } = await ground.push(anyImage, tag);
      assert.equal(headers['oci-tag'], undefined);
    }
  }),

  must(
    manifests,
    'a pull from a repository that is none is 404',
    ['manifests/latest', `manifests/${makeImage().descriptor.digest}`, 'tags/list'].map((name) => ({
      name,
    })),
    async (ground, { name }) => expectAbsent(ground, name),
  ),

  should(manifests, 'a manifest of 4 megabytes is taken', once, async (ground) => {
    const [full] = objects.filter(({ root }) => root.bytes.length >= 4_000_000);
    assert.ok(full);
    await expectPullable(ground, await ground.push(full, 'v1'), full.root.bytes);
  }),

  should(
    manifests,
    'a manifest over the limit is 413, with or without a length',
    once,
    async (ground) => {
      const body = Buffer.alloc(maxManifestSize + 1, ' ');
      const headers = { 'Content-Type': mediaTypes.ociManifest };
      for (const sent of [body, [body.subarray(0, 1000), body.subarray(1000)]]) {
        const answer = await ground.send('PUT', 'manifests/v1', { body: sent, headers });
        assert.equal(answer.status, 413);
        assert.equal(jsonOf<{ errors: unknown[] }>(answer).errors.length, 1);
      }
      await expectAbsent(ground, 'manifests/v1');
    },
  ),

  must(withSubject, 'OCI-Subject names the subject', referrers, async (ground, object) => {
    const byDigest = await ground.push(object);
    const byTag = await ground.push(object, 'v1');
    for (const { headers } of [byDigest, byTag]) {
      assert.equal(headers['oci-subject'], documentOf(object).subject?.digest);
    }
  }),

  must(
    withSubject,
    'OCI-Subject is not sent where there is no subject',
    objects.filter((object) => !referrers.includes(object)),
    async (ground, object) => {
      const { headers } = await ground.push(object);
      assert.equal(headers['oci-subject'], undefined);
    },
  ),
];
