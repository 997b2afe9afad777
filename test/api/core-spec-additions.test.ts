import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { digestOf } from '#libs/oci/digest.ts';
import { type Core, pushBlob, startCore } from '../support/core.ts';
import { describeEachStorage, type OpenStorage } from '../support/each-storage.ts';
import { makeImage, mediaTypes } from '../support/images.ts';

describeEachStorage('several tags in one push, and other digests', (open) => {
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

  async function push(name: string, query: string) {
    const image = makeImage();
    for (const blob of image.blobs) await pushBlob(core, name, blob);
    const { digest } = image.descriptor;
    const answer = await core.send('PUT', `/v2/${name}/manifests/${digest}${query}`, {
      headers: { 'Content-Type': mediaTypes.ociManifest },
      body: image.bytes,
    });
    return { digest, answer };
  }
  const tags = async (name: string) =>
    (JSON.parse((await core.send('GET', `/v2/${name}/tags/list`)).text) as { tags: string[] }).tags;

  test('a push by digest sets all tags it names, and tells which', async () => {
    const { digest, answer } = await push('many/tags', '?tag=1.2.3&tag=1.2&tag=latest&tag=1.2');
    assert.equal(answer.status, 201);
    assert.equal(answer.headers['oci-tag'], '1.2.3, 1.2, latest');
    assert.deepEqual(await tags('many/tags'), ['1.2', '1.2.3', 'latest']);
    const head = await core.send('HEAD', '/v2/many/tags/manifests/latest');
    assert.equal(head.headers['docker-content-digest'], digest);
  });

  test('one bad tag, and nothing is stored', async () => {
    const { digest, answer } = await push('bad/tags', '?tag=good&tag=.bad');
    assert.deepEqual([answer.status, ...answer.codes], [400, 'TAG_INVALID']);
    assert.equal((await core.send('GET', `/v2/bad/tags/manifests/${digest}`)).status, 404);
    const many = Array.from({ length: 101 }, (_, index) => `tag=t${index}`).join('&');
    assert.equal((await push('bad/tags', `?${many}`)).answer.status, 400);
  });

  test('an upload may be opened for sha512, and is found under that digest', async () => {
    const bytes = randomBytes(5000);
    const digest = digestOf(bytes, 'sha512');
    const opened = await core.send('POST', '/v2/a/blobs/uploads/?digest-algorithm=sha512');
    assert.equal(opened.status, 202);
    const location = String(opened.headers.location);
    assert.equal((await core.send('PATCH', location, { body: bytes })).status, 202);
    const done = await core.send('PUT', `${location}?digest=${digest}`);
    assert.equal(done.status, 201);
    assert.equal(done.headers['docker-content-digest'], digest);
    assert.ok((await core.send('GET', `/v2/a/blobs/${digest}`)).body.equals(bytes));
    assert.equal((await core.send('GET', `/v2/a/blobs/${digestOf(bytes)}`)).status, 404);
  });

  test('an algorithm that we lack is refused', async () => {
    for (const algorithm of ['md5', '', '__proto__']) {
      const path = `/v2/a/blobs/uploads/?digest-algorithm=${algorithm}`;
      const { status, codes } = await core.send('POST', path);
      assert.deepEqual([status, ...codes], [400, 'DIGEST_INVALID']);
    }
  });
});
