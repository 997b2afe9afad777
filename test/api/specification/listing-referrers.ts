import assert from 'node:assert/strict';
import { digestOf, parseDigest } from '#libs/oci/digest.ts';
import { maxManifestSize } from '#libs/oci/manifest.ts';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { paths } from '../../../services/core/registry/paths.ts';
import type { Received } from '../../support/core.ts';
import { describeJson, type Fixture, makeIndex, mediaTypes } from '../../support/images.ts';
import { anyImage, documentOf, type ObjectSet, referrers } from './data-sets.ts';
import { expectStatus, jsonOf, pagesFrom, type RepositoryFixture } from './repository-fixture.ts';
import { must, once, type Requirement, should } from './requirement.ts';

const section = 'Listing Referrers';
const upgrade = 'Enabling the Referrers API';

interface Listed {
  mediaType: string;
  digest: string;
  size: number;
  artifactType?: string;
  annotations?: Record<string, string>;
}

interface ReferrersList {
  schemaVersion: number;
  mediaType: string;
  manifests: Listed[];
}

const subjectOf = (object: ObjectSet) => documentOf(object).subject?.digest ?? '';
const listedIn = (answer: Received) => jsonOf<ReferrersList>(answer).manifests;
const digestsIn = (answer: Received) => listedIn(answer).map(({ digest }) => digest);

async function ask(fixture: RepositoryFixture, subject: string, query = ''): Promise<Received> {
  const answer = await fixture.send('GET', `referrers/${subject}${query}`);
  expectStatus(answer, 200);
  return answer;
}

/** The entry of an object in the list of its subject. */
async function entryOf(fixture: RepositoryFixture, object: ObjectSet): Promise<Listed> {
  const { digest } = object.root.descriptor;
  const found = listedIn(await ask(fixture, subjectOf(object)));
  const entry = found.find((one) => one.digest === digest);
  assert.ok(entry, `listed: ${JSON.stringify(found)}`);
  return entry;
}

/** What the list must show: the type it has, for an image else that of its config. */
function typeOf(object: ObjectSet): string | undefined {
  const { artifactType, config } = documentOf(object);
  return artifactType || config?.mediaType || undefined;
}

/** Small artifacts about one image that is not there, with types and annotations in turn. */
function artifactsAbout(count: number, annotations: Record<string, string> = {}): ObjectSet[] {
  const [config] = anyImage.blobs as [Fixture];
  return Array.from({ length: count }, (_, index) => ({
    name: '',
    blobs: [config],
    parts: [],
    root: describeJson(mediaTypes.ociManifest, {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: config.descriptor,
      layers: [],
      subject: anyImage.root.descriptor,
      artifactType: `application/vnd.example.${index % 2 === 0 ? 'even+json' : 'odd'}`,
      annotations: { number: String(index), ...annotations },
    }),
  }));
}

const subject = anyImage.root.descriptor.digest;
const evenType = encodeURIComponent('application/vnd.example.even+json');
const digestsOf = (objects: readonly ObjectSet[]) =>
  objects.map(({ root }) => root.descriptor.digest as string).sort();

export const listingReferrers: readonly Requirement[] = [
  must(
    section,
    'a subject without referrers has an empty list, be it there or not',
    [subject, digestOf(Buffer.from('?')), digestOf(Buffer.from('?'), 'sha512')].map((name) => ({
      name,
    })),
    async (fixture, { name }) => {
      assert.deepEqual(listedIn(await ask(fixture, name)), []);
      await fixture.push(anyImage);
      assert.deepEqual(listedIn(await ask(fixture, name)), []);
    },
  ),

  must(section, 'the list is an image index', referrers, async ({ holding }, object) => {
    const fixture = await holding(object);
    const answer = await ask(fixture, subjectOf(object));
    assert.equal(answer.headers['content-type'], mediaTypes.ociIndex);
    const { schemaVersion, mediaType, manifests } = jsonOf<ReferrersList>(answer);
    assert.deepEqual([schemaVersion, mediaType], [2, mediaTypes.ociIndex]);
    assert.ok(Array.isArray(manifests));
  }),

  must(
    section,
    'a digest that is none is 400',
    ['latest', 'sha256:', 'sha256:12', `sha256:${'G'.repeat(64)}`, `sha512:${'a'.repeat(64)}`].map(
      (name) => ({ name }),
    ),
    async (fixture, { name }) => {
      assert.equal((await fixture.send('GET', `referrers/${name}`)).status, 400);
    },
  ),

  must(
    section,
    'a manifest is listed with its type, size and digest',
    referrers,
    async ({ holding }, object) => {
      const fixture = await holding(object);
      const { mediaType, size, digest } = await entryOf(fixture, object);
      assert.deepEqual({ mediaType, size, digest }, object.root.descriptor);
    },
  ),

  must(
    section,
    'a manifest pushed by tag is listed as well',
    referrers,
    async (fixture, object) => {
      const { headers } = await fixture.push(object, 'v1');
      const listed = digestsIn(await ask(fixture, subjectOf(object)));
      assert.deepEqual(listed, [headers['docker-content-digest']]);
    },
  ),

  must(
    section,
    'artifactType is the manifest’s own; else an image has that of its config, an index none',
    referrers,
    async ({ holding }, object) => {
      const fixture = await holding(object);
      const { artifactType } = await entryOf(fixture, object);
      assert.equal(artifactType, typeOf(object));
    },
  ),

  must(section, 'annotations are the manifest’s', referrers, async ({ holding }, object) => {
    const fixture = await holding(object);
    const { annotations } = await entryOf(fixture, object);
    assert.deepEqual(annotations ?? {}, documentOf(object).annotations ?? {});
  }),

  must(
    section,
    'a referrer is listed in its own repository only',
    referrers,
    async ({ holding }, object) => {
      const fixture = await holding(object);
      const elsewhere = `/v2/${fixture.name}/elsewhere/referrers/${subjectOf(object)}`;
      const answer = await fixture.send('GET', elsewhere);
      expectStatus(answer, 200);
      assert.deepEqual(listedIn(answer), []);
    },
  ),

  must(section, 'a referrer that was deleted is not listed', referrers, async (fixture, object) => {
    await fixture.push(object);
    const { digest } = await entryOf(fixture, object);
    expectStatus(await fixture.send('DELETE', `manifests/${digest}`), 202);
    assert.deepEqual(digestsIn(await ask(fixture, subjectOf(object))), []);
  }),

  must(section, 'referrers stay when their subject is deleted', once, async (fixture) => {
    const all = artifactsAbout(2);
    await fixture.push(anyImage);
    for (const one of all) await fixture.push(one);
    expectStatus(await fixture.send('DELETE', `manifests/${subject}`), 202);
    assert.deepEqual(digestsIn(await ask(fixture, subject)).sort(), digestsOf(all));
  }),

  should(
    section,
    'artifactType as a parameter lists those of the type only',
    referrers,
    async ({ holding }, object) => {
      const fixture = await holding(object);
      const { digest, artifactType } = await entryOf(fixture, object);
      const query = (type: string) => `?artifactType=${encodeURIComponent(type)}`;
      const same = await ask(fixture, subjectOf(object), query(artifactType ?? ''));
      assert.equal(digestsIn(same).includes(digest), artifactType !== undefined);
      const other = await ask(fixture, subjectOf(object), query('application/vnd.example.other'));
      assert.deepEqual(digestsIn(other), []);
    },
  ),

  must(section, 'OCI-Filters-Applied tells that a filter was applied', once, async (fixture) => {
    const answer = await ask(fixture, subject, `?artifactType=${evenType}`);
    assert.equal(answer.headers['oci-filters-applied'], 'artifactType');
  }),

  must(
    section,
    'OCI-Filters-Applied is not sent where there was no filter',
    once,
    async (fixture) => {
      assert.equal((await ask(fixture, subject)).headers['oci-filters-applied'], undefined);
    },
  ),

  must(
    section,
    'a long list comes in pages, and these give every referrer once',
    once,
    async (fixture) => {
      const all = artifactsAbout(7);
      for (const one of all) await fixture.push(one);
      const small = await fixture.servedBy({ pageSize: { catalog: 1, tags: 2 } });
      const pages = await pagesFrom(small, `referrers/${subject}`);
      assert.ok(pages.length > 1);
      assert.deepEqual(pages.flatMap(digestsIn).sort(), digestsOf(all));
      for (const page of pages) assert.equal(page.headers['content-type'], mediaTypes.ociIndex);
    },
  ),

  must(section, 'the pages of a filtered list are filtered, and say so', once, async (fixture) => {
    const all = artifactsAbout(7);
    for (const one of all) await fixture.push(one);
    const small = await fixture.servedBy({ pageSize: { catalog: 1, tags: 2 } });
    const pages = await pagesFrom(small, `referrers/${subject}?artifactType=${evenType}`);
    const even = all.filter((_, index) => index % 2 === 0);
    assert.deepEqual(pages.flatMap(digestsIn).sort(), digestsOf(even));
    for (const page of pages) assert.equal(page.headers['oci-filters-applied'], 'artifactType');
  }),

  must(
    section,
    'a list larger than a manifest may be comes in pages',
    [{ name: 'three manifests of 2 MiB' }],
    async (fixture) => {
      const all = artifactsAbout(3, { padding: 'x'.repeat(maxManifestSize / 2) });
      for (const one of all) await fixture.push(one);
      const pages = await pagesFrom(fixture, `referrers/${subject}`);
      assert.deepEqual(pages.flatMap(digestsIn).sort(), digestsOf(all));
      for (const { body } of pages)
        assert.ok(body.length <= maxManifestSize, `${body.length} bytes`);
    },
  ),

  must(
    upgrade,
    'what was listed under the referrers tag before there was an API is listed',
    referrers,
    async (fixture, object) => {
      await fixture.push(object);
      await entryOf(fixture, object);
      await forgetReferrers(fixture, subjectOf(object));
      assert.deepEqual(digestsIn(await ask(fixture, subjectOf(object))), []);
      await pushFallback(fixture, subjectOf(object), [object.root]);
      assert.deepEqual(digestsIn(await ask(fixture, subjectOf(object))), [
        object.root.descriptor.digest,
      ]);
    },
  ),

  must(
    upgrade,
    'what the referrers tag lists without being about the subject is not listed',
    once,
    async (fixture) => {
      const [one] = artifactsAbout(1) as [ObjectSet];
      await fixture.push(anyImage);
      await fixture.push(one);
      await pushFallback(fixture, subject, [one.root, anyImage.root]);
      assert.deepEqual(digestsIn(await ask(fixture, subject)), digestsOf([one]));
    },
  ),

  must(
    upgrade,
    'what is pushed from then on is listed with the older ones, each once',
    once,
    async (fixture) => {
      const all = artifactsAbout(4);
      const [first, second] = all as [ObjectSet, ObjectSet];
      for (const one of [first, second]) await fixture.push(one);
      await forgetReferrers(fixture, subject);
      await pushFallback(fixture, subject, [first.root, second.root]);
      for (const one of all.slice(1)) await fixture.push(one);
      assert.deepEqual(digestsIn(await ask(fixture, subject)).sort(), digestsOf(all));
    },
  ),
];

/** Leaves the repository as a registry without the API would have it. */
async function forgetReferrers(
  { driver, name }: RepositoryFixture,
  subject: string,
): Promise<void> {
  await driver.remove(paths.referrers(parseRepositoryName(name), parseDigest(subject)));
}

/** What a client does where there is no API ("Referrers Tag Schema"). */
async function pushFallback(
  fixture: RepositoryFixture,
  subject: string,
  listed: Fixture[],
): Promise<void> {
  const [algorithm = '', encoded = ''] = subject.split(':');
  const tag = `${algorithm.slice(0, 32)}-${encoded.slice(0, 64)}`;
  await fixture.push({ name: '', blobs: [], parts: [], root: makeIndex(listed) }, tag);
}
