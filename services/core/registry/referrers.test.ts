import assert from 'node:assert/strict';
import { beforeEach, describe, type TestContext, test } from 'node:test';
import type { Descriptor } from '#libs/oci/descriptor.ts';
import type { Digest } from '#libs/oci/digest.ts';
import { parseReference, parseRepositoryName } from '#libs/oci/reference.ts';
import { describeJson, type Fixture, makeLayer, mediaTypes } from '../../../test/support/images.ts';
import { openRegistry } from '../../../test/support/open-registry.ts';
import type { StorageDriver } from '../storage/driver.ts';
import { createMemoryDriver } from '../storage/memory.ts';
import { paths } from './paths.ts';
import type { Registry } from './registry.ts';

const app = parseRepositoryName('team/app');

describe('however often a list of referrers is asked for', () => {
  const subject = { ...makeLayer().descriptor, mediaType: mediaTypes.ociManifest };
  let driver: StorageDriver;
  let registry: Registry;

  beforeEach(() => {
    driver = createMemoryDriver();
    registry = openRegistry(driver);
  });

  /** Pushes a manifest that refers to one small blob. */
  async function push(mediaType: string, parts: object, tag?: string): Promise<Fixture> {
    const manifest = describeJson(mediaType, { schemaVersion: 2, mediaType, ...parts });
    await registry.manifests.put(app, {
      reference: parseReference(tag ?? manifest.descriptor.digest),
      bytes: manifest.bytes,
      contentType: mediaType,
    });
    return manifest;
  }

  async function pushReferrer(note: number): Promise<Fixture> {
    const config = makeLayer();
    await driver.put(paths.blob(config.descriptor.digest), config.bytes);
    await registry.blobs.link(app, config.descriptor.digest);
    return await push(mediaTypes.ociManifest, {
      artifactType: 'application/spdx+json',
      config: config.descriptor,
      layers: [],
      subject,
      annotations: { note: 'x'.repeat(note) },
    });
  }

  const list = async (artifactType?: string) => {
    const page = { after: '', limit: 10, maxBytes: 1_000_000, artifactType };
    const { descriptors } = await registry.referrers.list(app, subject.digest, page);
    return descriptors.map(
      (one) => JSON.parse(one) as Descriptor & { annotations?: Record<string, string> },
    );
  };

  /** How often the bytes of a manifest are parsed from now on. */
  function countParses(context: TestContext, { bytes }: Fixture): () => number {
    const wanted = String(bytes);
    let count = 0;
    const parse = JSON.parse.bind(JSON);
    context.mock.method(JSON, 'parse', (text: string) => {
      if (text === wanted) count += 1;
      return parse(text) as unknown;
    });
    return () => count;
  }

  test('a manifest that a filter leaves out is parsed once', async (context) => {
    const about = await pushReferrer(100_000);
    const parses = countParses(context, about);
    assert.deepEqual(await list('application/none'), []);
    const first = parses();
    for (let n = 0; n < 3; n += 1) assert.deepEqual(await list('application/none'), []);
    assert.equal(parses(), first);
  });

  test('one that is listed is parsed once, unless its descriptor is very long', async (context) => {
    for (const [note, isRemembered] of [
      [100_000, true],
      [300_000, false],
    ] as const) {
      driver = createMemoryDriver();
      registry = openRegistry(driver);
      const about = await pushReferrer(note);
      const parses = countParses(context, about);
      const [found] = await list('application/spdx+json');
      assert.equal(found?.digest, about.descriptor.digest);
      const first = parses();
      for (let n = 0; n < 3; n += 1) {
        assert.equal((await list())[0]?.annotations?.note?.length, note);
      }
      assert.equal(parses() === first, isRemembered);
    }
  });

  test('an index under the fallback tag is parsed once', async (context) => {
    const about = await pushReferrer(10);
    const index = await push(
      mediaTypes.ociIndex,
      { manifests: [about.descriptor], annotations: { note: 'x'.repeat(100_000) } },
      subject.digest.replace(':', '-'),
    );
    const parses = countParses(context, index);
    assert.equal((await list()).length, 1);
    const first = parses();
    for (let n = 0; n < 3; n += 1) assert.equal((await list()).length, 1);
    assert.equal(parses(), first);
  });

  test('a page reads as many entries as it has, and pages give each once', async () => {
    const pushed: string[] = [];
    for (let n = 0; n < 30; n += 1) pushed.push((await pushReferrer(n)).descriptor.digest);
    pushed.sort();
    // A client lists every third itself, and one that is in no other list.
    const kept = pushed.filter((_, index) => index % 3 === 0);
    const manifests = kept.map((digest) => ({ ...subject, digest }));
    await push(mediaTypes.ociIndex, { manifests }, subject.digest.replace(':', '-'));
    await driver.remove(paths.referrer(app, subject.digest, kept[4] as Digest));
    const found: string[] = [];
    for (let after = ''; ; ) {
      const page = { after, limit: 7, maxBytes: 1_000_000 };
      const { descriptors, next } = await registry.referrers.list(app, subject.digest, page);
      found.push(...descriptors.map((one) => (JSON.parse(one) as Descriptor).digest));
      if (next === undefined) break;
      assert.equal(descriptors.length, 7);
      after = next;
    }
    assert.deepEqual(found, pushed);
  });
});
