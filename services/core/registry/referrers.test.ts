import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '#libs/oci/digest.ts';
import { parseReference, parseRepositoryName } from '#libs/oci/reference.ts';
import { describeJson, makeLayer, mediaTypes } from '../../../test/support/images.ts';
import { openRegistry } from '../../../test/support/open-registry.ts';
import { createMemoryDriver } from '../storage/memory.ts';
import { paths } from './paths.ts';

const app = parseRepositoryName('team/app');

test('a manifest that a filter leaves out is parsed once, however often the list is asked for', async (context) => {
  const driver = createMemoryDriver();
  const registry = openRegistry(driver);
  const config = makeLayer();
  await driver.put(paths.blob(config.descriptor.digest), config.bytes);
  await registry.blobs.link(app, config.descriptor.digest);
  const subject = makeLayer().descriptor;
  const about = describeJson(mediaTypes.ociManifest, {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    artifactType: 'application/spdx+json',
    config: config.descriptor,
    layers: [],
    subject: { ...subject, mediaType: mediaTypes.ociManifest },
    annotations: { note: 'x'.repeat(100_000) },
  });
  const digest = digestOf(about.bytes);
  const contentType = mediaTypes.ociManifest;
  await registry.manifests.put(app, {
    reference: parseReference(digest),
    bytes: about.bytes,
    contentType,
  });
  const parsed: string[] = [];
  const parse = JSON.parse.bind(JSON);
  context.mock.method(JSON, 'parse', (text: string) => {
    parsed.push(text);
    return parse(text) as unknown;
  });
  const page = { after: '', limit: 10, maxBytes: 1_000_000 };
  const list = async (artifactType?: string) =>
    (await registry.referrers.list(app, subject.digest, { ...page, artifactType })).referrers;
  const reads = () => parsed.filter((text) => text === String(about.bytes)).length;
  assert.deepEqual(await list('application/none'), []);
  const first = reads();
  for (let n = 0; n < 3; n += 1) assert.deepEqual(await list('application/none'), []);
  assert.equal(reads(), first);
  const [found] = await list('application/spdx+json');
  assert.equal(found?.digest, digest);
  assert.equal(found?.annotations?.note?.length, 100_000);
});
