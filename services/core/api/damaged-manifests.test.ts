import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRepositoryName, parseTag } from '#libs/oci/reference.ts';
import { pushImage, pushManifest, startCore } from '../../../test/support/core.ts';
import { describeJson, makeImage, makeIndex, mediaTypes } from '../../../test/support/images.ts';
import { paths } from '../registry/paths.ts';
import { createMemoryDriver } from '../storage/memory.ts';

const app = parseRepositoryName('team/app');
const latest = parseTag('latest');

for (const [what, cutOff] of [
  ['empty', 0],
  ['cut off', 100],
] as const) {
  test(`a manifest that is ${what} is as if it were absent, until it is pushed again`, async (t) => {
    const driver = createMemoryDriver();
    const core = await startCore({ driver });
    t.after(() => core.close());
    const image = makeImage();
    const { digest, mediaType } = image.descriptor;
    const signature = describeJson(mediaTypes.ociManifest, {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: image.blobs[0]?.descriptor,
      layers: [],
      subject: image.descriptor,
    });
    const push = async () => {
      assert.equal((await pushImage(core, app, image, latest)).status, 201);
      assert.equal((await pushManifest(core, app, signature)).status, 201);
    };
    const url = `/v2/${app}/manifests/${digest}`;
    const countReferrers = async () => {
      const answer = await core.send('GET', `/v2/${app}/referrers/${digest}`);
      return (JSON.parse(String(answer.body)) as { manifests: unknown[] }).manifests.length;
    };
    await push();
    for (const { descriptor, bytes } of [image, signature]) {
      await driver.put(paths.blob(descriptor.digest), bytes.subarray(0, cutOff));
    }
    // Who pushes looks whether it is there, and pushes what is not.
    assert.equal((await core.send('HEAD', url)).status, 404);
    const refused = await core.send('GET', url);
    assert.equal(refused.status, 404);
    assert.match(String(refused.body), /MANIFEST_UNKNOWN.*is damaged; push it again/);
    assert.equal(await countReferrers(), 0);
    // Nor does a list that a client keeps under the fallback tag keep others from being listed.
    const index = makeIndex([signature]);
    assert.equal((await pushManifest(core, app, index, digest.replace(':', '-'))).status, 201);
    await driver.put(paths.blob(index.descriptor.digest), index.bytes.subarray(0, cutOff));
    assert.equal(await countReferrers(), 0);
    await push();
    const mended = await core.send('GET', url);
    assert.deepEqual([mended.status, mended.headers['content-type']], [200, mediaType]);
    assert.equal(await countReferrers(), 1);
  });

  test(`a manifest that is ${what} can be deleted`, async (t) => {
    const driver = createMemoryDriver();
    const core = await startCore({ driver });
    t.after(() => core.close());
    const image = makeImage();
    const { digest } = image.descriptor;
    await pushImage(core, app, image, latest);
    await driver.put(paths.blob(digest), image.bytes.subarray(0, cutOff));
    const deleted = await core.send('DELETE', `/v2/${app}/manifests/${digest}`);
    assert.equal(deleted.status, 202);
    const { body } = await core.send('GET', `/v2/${app}/tags/list`);
    assert.doesNotMatch(String(body), /latest/);
  });
}
