import assert from 'node:assert/strict';
import { digestOf } from '#libs/oci/digest.ts';
import { maxManifestSize } from '#libs/oci/manifest.ts';
import { makeImage, mediaTypes } from '../../support/images.ts';
import {
  anyImage,
  documentOf,
  images,
  kinds,
  type ObjectSet,
  objects,
  referrers,
} from './data-sets.ts';
import { expectAbsent, expectPullable, expectStatus } from './repository-fixture.ts';
import { must, once, type Requirement, should } from './requirement.ts';

const push = 'Push';
const manifests = 'Pushing Manifests';
const withSubject = 'Pushing Manifests with Subject';

const someTags = Array.from({ length: 12 }, (_, index) => `1.${index}-${'x'.repeat(index)}`);

/** The path of an object's digest with tags to set. */
const withTags = ({ root }: ObjectSet, tags: readonly string[]) =>
  `${root.descriptor.digest}?${tags.map((tag) => `tag=${tag}`).join('&')}`;

export const pushingManifests: readonly Requirement[] = [
  must(
    push,
    'a subject need not be there before what is about it',
    referrers,
    async (fixture, object) => {
      // An index holds its parts; an image's only part is its subject.
      const parts = documentOf(object).config === undefined ? object.parts : [];
      await fixture.push({ ...object, parts });
    },
  ),

  must(
    push,
    'a manifest refused for want of its blobs is MANIFEST_BLOB_UNKNOWN',
    images,
    async (fixture, object) => {
      const answer = await fixture.put(object, 'v1');
      assert.ok(answer.status >= 400 && answer.status < 500, answer.text);
      assert.deepEqual([...new Set(answer.codes)], ['MANIFEST_BLOB_UNKNOWN']);
      await expectAbsent(fixture, 'manifests/v1', `manifests/${object.root.descriptor.digest}`);
    },
  ),

  must(
    manifests,
    'PUT by digest is 201, at a Location to pull from',
    objects,
    async (fixture, object) => {
      await expectPullable(fixture, await fixture.push(object), object.root.bytes);
    },
  ),

  must(
    manifests,
    'PUT by tag is 201, at a Location to pull from',
    kinds,
    async (fixture, object) => {
      await expectPullable(fixture, await fixture.push(object, 'v1'), object.root.bytes);
    },
  ),

  must(
    manifests,
    'a manifest that is there already may be pushed again',
    objects,
    async ({ holding }, object) => {
      const fixture = await holding(object);
      for (const reference of [undefined, 'v1']) {
        const answer = await fixture.put(object, reference);
        expectStatus(answer, 201);
        await expectPullable(fixture, answer, object.root.bytes);
      }
    },
  ),

  must(
    manifests,
    'Docker-Content-Digest is the digest that was given',
    objects,
    async ({ holding }, object) => {
      const { headers } = await (await holding(object)).put(object);
      assert.equal(headers['docker-content-digest'], object.root.descriptor.digest);
    },
  ),

  should(
    manifests,
    'parameters of the Content-Type are passed over',
    objects,
    async ({ holding }, object) => {
      const fixture = await holding(object);
      const type = `${object.root.descriptor.mediaType}; charset=utf-8`;
      expectStatus(await fixture.put(object, 'v1', type), 201);
    },
  ),

  must(
    manifests,
    'a Content-Type other than the manifest’s own mediaType is refused',
    kinds,
    async ({ holding }, object) => {
      const fixture = await holding(object);
      const { mediaType } = object.root.descriptor;
      for (const type of Object.values(mediaTypes).filter((type) => type !== mediaType)) {
        expectStatus(await fixture.put(object, 'refused', type), 400, 'MANIFEST_INVALID');
      }
      await expectAbsent(fixture, 'manifests/refused');
    },
  ),

  must(
    manifests,
    'bytes of another digest are refused, and nothing is stored',
    objects,
    async ({ holding }, object) => {
      const fixture = await holding(object);
      for (const algorithm of ['sha256', 'sha512'] as const) {
        const wrong = digestOf(Buffer.from('something else'), algorithm);
        expectStatus(await fixture.put(object, wrong), 400, 'DIGEST_INVALID');
        await expectAbsent(fixture, `manifests/${wrong}`);
      }
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
    async ({ holding }, { name }) => {
      const fixture = await holding(anyImage);
      expectStatus(await fixture.put(anyImage, name), 400, 'DIGEST_INVALID');
    },
  ),

  must(
    manifests,
    'what is no manifest is MANIFEST_INVALID',
    ['', '{', '[]', 'null', '{}', '"x"'].map((name) => ({ name })),
    async (fixture, { name }) => {
      const headers = { 'Content-Type': mediaTypes.ociManifest };
      const answer = await fixture.send('PUT', 'manifests/v1', { body: name, headers });
      expectStatus(answer, 400, 'MANIFEST_INVALID');
      await expectAbsent(fixture, 'manifests/v1');
    },
  ),

  must(
    manifests,
    'a tag that is pushed again moves, and what it pointed at stays',
    kinds,
    async (fixture, object) => {
      const other = object === anyImage ? (kinds[2] as ObjectSet) : anyImage;
      await fixture.push(other, 'v1');
      await fixture.push(object, 'v1');
      const answer = await fixture.send('GET', 'manifests/v1');
      assert.ok(answer.body.equals(object.root.bytes));
      expectStatus(await fixture.send('GET', `manifests/${other.root.descriptor.digest}`), 200);
    },
  ),

  should(
    manifests,
    'a push by digest sets all the tags it names, ten at least',
    kinds,
    async (fixture, object) => {
      await fixture.push(object);
      expectStatus(await fixture.put(object, withTags(object, someTags)), 201);
      for (const tag of someTags) {
        const { status, headers } = await fixture.send('HEAD', `manifests/${tag}`);
        const { digest } = object.root.descriptor;
        assert.deepEqual([status, headers['docker-content-digest']], [200, digest]);
      }
    },
  ),

  must(manifests, 'OCI-Tag names each tag that was set', kinds, async (fixture, object) => {
    await fixture.push(object);
    const tags = ['1.2.3', '1.2', 'latest'];
    const { headers } = await fixture.put(object, withTags(object, tags));
    const told = String(headers['oci-tag']).split(',');
    assert.deepEqual(told.map((tag) => tag.trim()).sort(), [...tags].sort());
  }),

  must(manifests, 'OCI-Tag is not sent where no tags were asked for', once, async ({ holding }) => {
    const fixture = await holding(anyImage);
    for (const reference of ['v1', undefined]) {
      const { headers } = await fixture.put(anyImage, reference);
      assert.equal(headers['oci-tag'], undefined);
    }
  }),

  must(
    manifests,
    'a pull from a repository that is none is 404',
    ['manifests/latest', `manifests/${makeImage().descriptor.digest}`, 'tags/list'].map((name) => ({
      name,
    })),
    async (fixture, { name }) => await expectAbsent(fixture, name),
  ),

  should(manifests, 'a manifest of 4 megabytes is taken', once, async (fixture) => {
    const full = objects.find(({ root }) => root.bytes.length >= 4_000_000);
    assert.ok(full);
    await expectPullable(fixture, await fixture.push(full, 'v1'), full.root.bytes);
  }),

  should(
    manifests,
    'a manifest over the limit is 413, with or without a length',
    once,
    async (fixture) => {
      const body = Buffer.alloc(maxManifestSize + 1, ' ');
      const headers = { 'Content-Type': mediaTypes.ociManifest };
      for (const sent of [body, [body.subarray(0, 1000), body.subarray(1000)]]) {
        const answer = await fixture.send('PUT', 'manifests/v1', { body: sent, headers });
        assert.deepEqual([answer.status, answer.codes.length], [413, 1]);
      }
      await expectAbsent(fixture, 'manifests/v1');
    },
  ),

  must(withSubject, 'OCI-Subject names the subject', referrers, async ({ holding }, object) => {
    const fixture = await holding(object);
    for (const reference of [undefined, 'v1']) {
      const { headers } = await fixture.put(object, reference);
      assert.equal(headers['oci-subject'], documentOf(object).subject?.digest);
    }
  }),

  must(
    withSubject,
    'OCI-Subject is not sent where there is no subject',
    objects.filter((object) => !referrers.includes(object)),
    async ({ holding }, object) => {
      const { headers } = await (await holding(object)).put(object);
      assert.equal(headers['oci-subject'], undefined);
    },
  ),
];
