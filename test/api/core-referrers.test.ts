import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { digestOf } from '#libs/oci/digest.ts';
import { type Core, pushBlob, pushImage, startCore } from '../support/core.ts';
import { describeEachStorage, type OpenStorage } from '../support/each-storage.ts';
import {
  describeJson,
  type Fixture,
  makeImage,
  makeIndex,
  makeLayer,
  mediaTypes,
} from '../support/images.ts';

interface Listed {
  mediaType: string;
  manifests: { digest: string; artifactType?: string; annotations?: Record<string, string> }[];
}

describeEachStorage('referrers', (open) => {
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

  /** Pushes a manifest about another one. */
  async function refer(name: string, subject: Fixture, more: Record<string, unknown> = {}) {
    const config = makeLayer(10, 'application/vnd.example.config');
    const referrer = describeJson(mediaTypes.ociManifest, {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: config.descriptor,
      layers: [],
      subject: subject.descriptor,
      ...more,
    });
    await pushBlob(core, name, config);
    const { digest } = referrer.descriptor;
    const answer = await core.send('PUT', `/v2/${name}/manifests/${digest}`, {
      headers: { 'Content-Type': mediaTypes.ociManifest },
      body: referrer.bytes,
    });
    assert.equal(answer.status, 201);
    assert.equal(answer.headers['oci-subject'], subject.descriptor.digest);
    return referrer;
  }

  const ask = (name: string, { descriptor }: Fixture, query = '') =>
    core.send('GET', `/v2/${name}/referrers/${descriptor.digest}${query}`);
  async function list(name: string, subject: Fixture, query = ''): Promise<Listed> {
    const { status, headers, text } = await ask(name, subject, query);
    assert.equal(status, 200);
    assert.equal(headers['content-type'], mediaTypes.ociIndex);
    return JSON.parse(text) as Listed;
  }
  const digestsOf = ({ manifests }: Listed) => manifests.map(({ digest }) => digest);
  const sorted = (...fixtures: Fixture[]) =>
    fixtures.map(({ descriptor }) => descriptor.digest as string).sort();

  test('a subject without referrers, also one that is not there, has an empty list', async () => {
    assert.deepEqual(await list('none/app', makeImage()), {
      schemaVersion: 2,
      mediaType: mediaTypes.ociIndex,
      manifests: [],
    });
  });

  test('are listed in order, with their type and annotations, before and after the subject is pushed', async () => {
    const subject = makeImage();
    const signature = await refer('signed/app', subject, {
      artifactType: 'application/vnd.example.signature',
      annotations: { by: 'alice' },
    });
    const other = await refer('signed/app', subject);
    const expected = sorted(signature, other);
    assert.deepEqual(digestsOf(await list('signed/app', subject)), expected);
    await pushImage(core, 'signed/app', subject, 'v1');
    const found = await list('signed/app', subject);
    assert.deepEqual(digestsOf(found), expected);
    const shown = found.manifests.find(({ digest }) => digest === signature.descriptor.digest);
    assert.deepEqual(shown, {
      ...signature.descriptor,
      artifactType: 'application/vnd.example.signature',
      annotations: { by: 'alice' },
    });
  });

  test('without a type of their own have that of their config', async () => {
    const subject = makeImage();
    await refer('typed/app', subject);
    const { manifests } = await list('typed/app', subject);
    assert.equal(manifests[0]?.artifactType, 'application/vnd.example.config');
  });

  test('can be filtered by type, and the answer says that they were', async () => {
    const subject = makeImage();
    const sbom = await refer('filtered/app', subject, { artifactType: 'application/sbom+json' });
    await refer('filtered/app', subject);
    const query = `?artifactType=${encodeURIComponent('application/sbom+json')}`;
    assert.deepEqual(digestsOf(await list('filtered/app', subject, query)), sorted(sbom));
    const { headers } = await ask('filtered/app', subject, query);
    assert.equal(headers['oci-filters-applied'], 'artifactType');
  });

  test('come in pages, and the link keeps the filter', async () => {
    const subject = makeImage();
    const all = [];
    for (const _ of [1, 2, 3]) all.push(await refer('paged/app', subject, { artifactType: 'a/b' }));
    const seen: string[] = [];
    let query: string | undefined = '?n=2&artifactType=a%2Fb';
    while (query !== undefined) {
      seen.push(...digestsOf(await list('paged/app', subject, query)));
      const { headers } = await ask('paged/app', subject, query);
      query = /<[^?]*(\?[^>]*)>; rel="next"/.exec(String(headers.link))?.[1];
    }
    assert.deepEqual(seen, sorted(...all));
  });

  test('are another repository’s only there', async () => {
    const subject = makeImage();
    await refer('here/app', subject);
    assert.deepEqual(digestsOf(await list('elsewhere/app', subject)), []);
  });

  test('are gone when they are deleted', async () => {
    const subject = makeImage();
    const referrer = await refer('deleted/app', subject);
    const path = `/v2/deleted/app/manifests/${referrer.descriptor.digest}`;
    assert.equal((await core.send('DELETE', path)).status, 202);
    assert.deepEqual(digestsOf(await list('deleted/app', subject)), []);
  });

  test('that a client keeps under the fallback tag are listed too', async () => {
    const subject = makeImage();
    const referrer = await refer('fallback/app', subject);
    const stranger = makeImage();
    await pushImage(core, 'fallback/app', stranger, 'stranger');
    const fallback = makeIndex([referrer, stranger]);
    const tag = subject.descriptor.digest.replace(':', '-');
    const answer = await core.send('PUT', `/v2/fallback/app/manifests/${tag}`, {
      headers: { 'Content-Type': mediaTypes.ociIndex },
      body: fallback.bytes,
    });
    assert.equal(answer.status, 201);
    assert.deepEqual(digestsOf(await list('fallback/app', subject)), sorted(referrer));
  });

  test('of what is no digest are refused', async () => {
    const { status, codes } = await core.send('GET', '/v2/a/referrers/latest');
    assert.deepEqual([status, ...codes], [400, 'DIGEST_INVALID']);
    assert.equal(
      (
        await ask(
          'a',
          {
            bytes: Buffer.alloc(0),
            descriptor: { mediaType: 'x', size: 0, digest: digestOf(Buffer.alloc(0)) },
          },
          '?n=x',
        )
      ).status,
      400,
    );
  });

  test('of a type that is longer than a media type are refused, before a Link is too long for anybody', async () => {
    const subject = makeImage();
    const ask = (length: number) => {
      const query = `artifactType=${'%7C'.repeat(length)}`;
      return core.send('GET', `/v2/a/referrers/${subject.descriptor.digest}?${query}`);
    };
    assert.equal((await ask(255)).status, 200);
    const { status, codes, text } = await ask(256);
    assert.deepEqual([status, ...codes], [400, 'REQUEST_INVALID']);
    assert.match(text, /artifactType has 256 characters/);
  });
});
