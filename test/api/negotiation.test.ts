import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { accepts } from '../../services/core/api/negotiate.ts';
import { createMemoryDriver } from '../../services/core/storage/memory.ts';
import { type Core, pushImage, pushManifest, startCore } from '../support/core.ts';
import { type Fixture, makeImage, makeIndex, mediaTypes } from '../support/images.ts';

const app = 'team/app';

describe('a client gets what it can read', () => {
  let core: Core;

  beforeEach(async () => {
    core = await startCore({ driver: createMemoryDriver() });
  });

  afterEach(async () => {
    await core.close();
  });

  async function pushList(flavour: 'oci' | 'docker') {
    const images = [makeImage(flavour), makeImage(flavour)];
    for (const image of images) await pushImage(core, app, image);
    const list = makeIndex(images, flavour);
    await pushManifest(core, app, list, 'list');
    return { list, amd64: images[0] as Fixture };
  }

  const get = (reference: string, accept?: string) =>
    core.send('GET', `/v2/${app}/manifests/${reference}`, {
      headers: accept === undefined ? {} : { Accept: accept },
    });

  for (const accept of [
    undefined,
    '*/*',
    'application/*',
    `text/html, ${mediaTypes.ociIndex};q=0.1`,
  ]) {
    test(`an index is sent to one that accepts ${accept ?? 'anything'}`, async () => {
      const { list } = await pushList('oci');
      const answer = await get('list', accept);
      assert.deepEqual(answer.body, list.bytes);
      assert.equal(answer.headers.vary, 'Accept');
    });
  }

  test('an index is read once for its image for linux/amd64, however often it is asked for', async (context) => {
    const { list } = await pushList('oci');
    const parsed: string[] = [];
    const parse = JSON.parse.bind(JSON);
    context.mock.method(JSON, 'parse', (text: string) => {
      parsed.push(text);
      return parse(text) as unknown;
    });
    for (let n = 0; n < 4; n += 1) {
      assert.equal((await get('list', mediaTypes.ociManifest)).status, 200);
    }
    const reads = parsed.filter((text) => text === String(list.bytes)).length;
    assert.ok(reads <= 2, `${reads} reads: one for its type, one for its image`);
  });

  test('an old client that asks for a list by its tag gets the image for linux/amd64', async () => {
    const { list, amd64 } = await pushList('docker');
    const answer = await get('list', mediaTypes.dockerManifest);
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.body, amd64.bytes);
    assert.equal(answer.headers['docker-content-digest'], amd64.descriptor.digest);
    assert.equal(answer.headers.etag, `"${amd64.descriptor.digest}"`);
    assert.equal(answer.headers['content-type'], mediaTypes.dockerManifest);
    assert.match(String(answer.headers.warning), /^299 - "list is a list; .*linux\/amd64"$/);
    const head = await core.send('HEAD', `/v2/${app}/manifests/list`, {
      headers: { Accept: mediaTypes.dockerManifest },
    });
    assert.equal(head.headers['docker-content-digest'], amd64.descriptor.digest);
    assert.deepEqual(
      (await get(list.descriptor.digest, mediaTypes.dockerManifest)).body,
      list.bytes,
    );
  });

  test('the same holds for an index of images it can read', async () => {
    const { amd64 } = await pushList('oci');
    assert.deepEqual((await get('list', mediaTypes.ociManifest)).body, amd64.bytes);
    const { status, codes, text } = await get('list', mediaTypes.dockerManifest);
    assert.deepEqual([status, ...codes], [404, 'MANIFEST_UNKNOWN']);
    assert.match(text, /does not accept/);
  });

  test('an OCI image is unknown to one that does not accept it, a Docker image is sent', async () => {
    const [oci, docker] = [makeImage('oci'), makeImage('docker')];
    await pushImage(core, app, oci, 'oci');
    await pushImage(core, app, docker, 'docker');
    for (const reference of ['oci', oci.descriptor.digest]) {
      const { status, codes } = await get(reference, mediaTypes.dockerManifest);
      assert.deepEqual([status, ...codes], [404, 'MANIFEST_UNKNOWN']);
    }
    assert.deepEqual((await get('docker', mediaTypes.ociManifest)).body, docker.bytes);
  });
});

test('an Accept header is read by its types, wildcards and refusals', () => {
  assert.ok(accepts('', 'a/b'));
  assert.ok(accepts('x/y, A/B ; q=0.5', 'a/b'));
  assert.ok(accepts('a/*;q=0.001', 'a/b'));
  assert.ok(!accepts('a/b;q=0', 'a/b'));
  assert.ok(!accepts('a/b;q=0, */*', 'a/b'));
  assert.ok(!accepts('*/*, a/*;q=0', 'a/b'));
  assert.ok(accepts('a/*;q=0, a/b;q=0.1', 'a/b'));
  assert.ok(!accepts('a/bc, b/*', 'a/b'));
});
