import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ReferenceRules } from '../../services/core/registry/references.ts';
import { createMemoryDriver } from '../../services/core/storage/memory.ts';
import { type Core, pushImage, pushManifest, startCore } from '../support/core.ts';
import { makeImage, makeIndex } from '../support/images.ts';

const app = 'team/app';

async function withRules(rules: ReferenceRules | undefined, body: (core: Core) => Promise<void>) {
  const core = await startCore({
    driver: createMemoryDriver(),
    ...(rules === undefined ? {} : { rules }),
  });
  try {
    await body(core);
  } finally {
    await core.close();
  }
}

describe('manifests whose parts are not here', () => {
  test('are refused by default', async () => {
    await withRules(undefined, async (core) => {
      const image = makeImage();
      for (const manifest of [image, makeIndex([image])]) {
        const { status, codes } = await pushManifest(core, app, manifest);
        assert.deepEqual([status, ...codes], [404, 'MANIFEST_BLOB_UNKNOWN']);
      }
    });
  });

  test('are taken with a warning where validation is disabled, and can be pulled', async () => {
    await withRules({ blobs: false, children: 'none' }, async (core) => {
      const image = makeImage('oci', [10, 20]);
      for (const [manifest, lacks] of [
        [image, 3],
        [makeIndex([makeImage(), makeImage()]), 2],
      ] as const) {
        const answer = await pushManifest(core, app, manifest);
        assert.equal(answer.status, 201);
        assert.equal(
          answer.headers.warning,
          `299 - "stored, though team/app lacks ${lacks} of what it refers to"`,
        );
        const path = `/v2/${app}/manifests/${manifest.descriptor.digest}`;
        assert.deepEqual((await core.send('GET', path)).body, manifest.bytes);
      }
    });
  });

  test('an index needs the images of the listed platforms only', async () => {
    const children = [{ os: 'linux', architecture: 'amd64' }];
    await withRules({ blobs: true, children }, async (core) => {
      const [amd64, arm64] = [makeImage(), makeImage()];
      await pushImage(core, app, amd64);
      assert.equal((await pushManifest(core, app, makeIndex([amd64, arm64]))).status, 201);
      assert.equal((await pushManifest(core, app, makeIndex([arm64, amd64]))).status, 404);
      assert.equal((await pushManifest(core, app, arm64)).status, 404, 'images must be whole');
    });
  });

  test('a whole one gets no warning', async () => {
    await withRules({ blobs: false, children: 'none' }, async (core) => {
      assert.equal((await pushImage(core, app, makeImage())).headers.warning, undefined);
    });
  });
});
