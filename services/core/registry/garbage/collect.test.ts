import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import {
  type Core,
  pushBlob,
  pushImage,
  pushManifest,
  startCore,
} from '../../../../test/support/core.ts';
import { describeEachStorage, type OpenStorage } from '../../../../test/support/each-storage.ts';
import {
  describeJson,
  type Fixture,
  type ImageFixture,
  makeImage,
  makeIndex,
  makeLayer,
  mediaTypes,
} from '../../../../test/support/images.ts';
import { createSteppingDriver } from '../../../../test/support/stepping-driver.ts';
import { createTemporaryFolder } from '../../../../test/support/temporary-folder.ts';
import { createFilesystemDriver } from '../../storage/filesystem/filesystem.ts';
import { paths } from '../paths.ts';
import { collectGarbage } from './collect.ts';
import type { CollectOptions } from './collection.ts';

const app = 'team/app';
const day = 24 * 60 * 60 * 1000;

describeEachStorage('collecting garbage', (open) => {
  let storage: OpenStorage;
  let core: Core;
  let clock: number;

  beforeEach(async () => {
    storage = await open();
    core = await startCore({ driver: storage.driver });
    clock = Date.now() + 2 * day;
  });

  afterEach(async () => {
    await core.close();
    await storage.close();
  });

  /** Two days after everything was pushed, so that nothing is young. */
  const collect = (options: Partial<CollectOptions> = {}) =>
    collectGarbage(storage.driver, {
      untagged: false,
      dryRun: false,
      delay: day,
      grace: day,
      now: () => new Date(clock),
      ...options,
    });

  const status = async (path: string, method = 'HEAD') =>
    (await core.send(method, `/v2/${app}/${path}`)).status;
  const manifestStatus = ({ descriptor }: Fixture) => status(`manifests/${descriptor.digest}`);
  const blobStatus = ({ descriptor }: Fixture) => status(`blobs/${descriptor.digest}`);
  const isStored = async ({ descriptor }: Fixture) =>
    await storage.driver.stat(paths.blob(descriptor.digest)).then(
      () => true,
      () => false,
    );

  async function assertWhole(image: ImageFixture, repository = app): Promise<void> {
    for (const { bytes, descriptor } of image.blobs) {
      const answer = await core.send('GET', `/v2/${repository}/blobs/${descriptor.digest}`);
      assert.deepEqual(answer.body, bytes);
    }
    const path = `/v2/${repository}/manifests/${image.descriptor.digest}`;
    assert.deepEqual((await core.send('GET', path)).body, image.bytes);
  }

  test('what is used stays, whatever its form', async () => {
    const [tagged, untagged, child] = [makeImage(), makeImage('docker'), makeImage()];
    await pushImage(core, app, tagged, 'v1');
    await pushImage(core, app, untagged);
    await pushImage(core, app, child);
    await pushManifest(core, app, makeIndex([child]), 'list');
    const { garbage, kept } = await collect();
    assert.deepEqual(garbage, { manifests: 0, layers: 0, blobs: 0, bytes: 0 });
    assert.deepEqual(kept, { manifests: 4, blobs: 13 });
    for (const image of [tagged, untagged, child]) await assertWhole(image);
  });

  test('blobs that no manifest names go to the trash, and come back when they are missed', async () => {
    const layers = [makeLayer(1000), makeLayer(500)] as const;
    for (const layer of layers) await pushBlob(core, app, layer);
    const { garbage, trash } = await collect();
    assert.deepEqual(garbage, { manifests: 0, layers: 2, blobs: 2, bytes: 1500 });
    assert.equal(trash.items, 4);
    assert.equal(Math.abs((trash.since?.getTime() ?? 0) - clock) < 1000, true);
    assert.equal(await isStored(layers[0]), false);
    assert.equal(await blobStatus(layers[0]), 200);
    assert.equal(await isStored(layers[0]), true);
    const { body } = await core.send('GET', `/v2/${app}/blobs/${layers[1].descriptor.digest}`);
    assert.deepEqual(body, layers[1].bytes);
  });

  test('what is not needed and young is left alone, and counted', async () => {
    await pushBlob(core, app, makeLayer(1000));
    const { garbage, young, trash } = await collect({ delay: 4 * day });
    assert.deepEqual(garbage, { manifests: 0, layers: 0, blobs: 0, bytes: 0 });
    assert.deepEqual(young, { layers: 1, blobs: 0, bytes: 0 });
    assert.deepEqual(trash, { items: 0, since: undefined });
  });

  test('what was in the trash for longer than the grace goes for good, and no sooner', async () => {
    const layer = makeLayer(1000);
    await pushBlob(core, app, layer);
    await collect();
    // The last may have come a minute after the first that gave the folder its name.
    clock += day + 59_000;
    assert.deepEqual((await collect()).freed, { items: 0, bytes: 0 });
    clock += 2000;
    const { freed } = await collect();
    assert.equal(freed.items, 2);
    assert.ok(freed.bytes >= 1000);
    assert.equal(await blobStatus(layer), 404);
    assert.deepEqual(await storage.driver.list(paths.trash), []);
  });

  test('what a manifest came to need meanwhile is taken out of the trash before it is emptied', async () => {
    const image = makeImage();
    for (const blob of image.blobs) await pushBlob(core, app, blob);
    await collect();
    // The push found its blobs in their place, and was slow to write its links.
    await storage.driver.put(paths.blob(image.descriptor.digest), image.bytes);
    const link = paths.revisionLink(app as never, image.descriptor.digest);
    await storage.driver.put(link, Buffer.from(image.descriptor.digest));
    clock += 2 * day;
    assert.equal((await collect()).freed.items, 0);
    await assertWhole(image);
  });

  test('to look for what is not there leaves nothing behind', async () => {
    await pushImage(core, app, makeImage(), 'v1');
    await pushBlob(core, app, makeLayer());
    await collect();
    const before = await storage.driver.list(paths.layers(app as never));
    const folder = () => storage.driver.list(paths.blobs('sha512'));
    const absent = `sha512:${'0'.repeat(128)}`;
    assert.equal(await status(`blobs/${absent}`), 404);
    assert.equal(await status(`manifests/${absent}`), 404);
    assert.deepEqual(await storage.driver.list(paths.layers(app as never)), before);
    assert.deepEqual(await folder(), []);
  });

  test('the folder of a tag that a crash left goes, one that is torn stays for a person', async () => {
    await pushImage(core, app, makeImage(), 'stale');
    await pushImage(core, app, makeImage(), 'torn');
    await storage.driver.remove(paths.tagCurrent(app as never, 'stale' as never));
    await storage.driver.put(paths.tagCurrent(app as never, 'torn' as never), Buffer.alloc(0));
    await collect();
    assert.deepEqual(await storage.driver.list(paths.tags(app as never)), ['torn']);
  });

  test('nothing young is garbage', async () => {
    const image = makeImage();
    for (const blob of image.blobs) await pushBlob(core, app, blob);
    clock = Date.now() + 1000;
    const { garbage } = await collect({ delay: 60_000, untagged: true });
    assert.deepEqual(garbage, { manifests: 0, layers: 0, blobs: 0, bytes: 0 });
  });

  test('a rehearsal tells the same and changes nothing', async () => {
    await pushBlob(core, app, makeLayer(1000));
    const seen: string[] = [];
    const onGarbage: CollectOptions['onGarbage'] = ({ kind, digest }, size) =>
      seen.push(`${kind} ${digest} ${size}`);
    const rehearsed = await collect({ dryRun: true, onGarbage });
    const rehearsedItems = seen.splice(0);
    const real = await collect({ onGarbage });
    assert.deepEqual(rehearsed.garbage, real.garbage);
    assert.deepEqual(rehearsedItems, seen);
  });

  test('untagged manifests go if asked to, unless an index, a tag or a subject keeps them', async () => {
    const images = Array.from({ length: 4 }, () => makeImage());
    const [tagged, untagged, child, moved] = images as [
      ImageFixture,
      ImageFixture,
      ImageFixture,
      ImageFixture,
    ];
    for (const image of images) await pushImage(core, app, image);
    await pushManifest(core, app, moved, 'v1');
    await pushManifest(core, app, tagged, 'v1');
    await pushManifest(core, app, makeIndex([child]), 'list');
    const signature = await pushReferrer(tagged);
    const countersignature = await pushReferrer(signature);
    const ofUntagged = await pushReferrer(untagged);
    const { garbage } = await collect({ untagged: true });
    assert.equal(garbage.manifests, 3);
    clock += 2 * day;
    await collect({ untagged: true });
    for (const kept of [tagged, child, signature, countersignature]) {
      assert.equal(await manifestStatus(kept), 200);
    }
    for (const gone of [untagged, moved, ofUntagged]) assert.equal(await manifestStatus(gone), 404);
    await assertWhole(tagged);
    await assertWhole(child);
    const referrers = await core.send('GET', `/v2/${app}/referrers/${tagged.descriptor.digest}`);
    assert.equal(JSON.parse(referrers.text).manifests.length, 1);
    await collect();
    const path = paths.referrers(app as never, untagged.descriptor.digest);
    assert.deepEqual(await storage.driver.list(path), [], 'nothing lists what is gone');
  });

  async function pushReferrer(subject: Fixture): Promise<Fixture> {
    const config = makeLayer(10);
    await pushBlob(core, app, config);
    const manifest = describeJson(mediaTypes.ociManifest, {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: config.descriptor,
      layers: [],
      subject: subject.descriptor,
    });
    await pushManifest(core, app, manifest);
    return manifest;
  }

  test('an untagged manifest in the trash comes back when it is pulled, tagged, or put in an index', async () => {
    for (const use of [
      (image: ImageFixture) => core.send('GET', `/v2/${app}/manifests/${image.descriptor.digest}`),
      (image: ImageFixture) => pushManifest(core, app, image, 'again'),
      (image: ImageFixture) => pushManifest(core, app, makeIndex([image]), 'list'),
    ]) {
      const image = makeImage();
      await pushImage(core, app, image);
      await collect({ untagged: true });
      assert.ok((await use(image)).status < 300);
      await assertWhole(image);
    }
  });

  test('a repository of which nothing is left vanishes; one below it stays', async () => {
    const [above, below, alone] = [makeImage(), makeImage(), makeImage()];
    await pushImage(core, app, above, 'v1');
    await pushImage(core, `${app}/below`, below, 'v1');
    await pushImage(core, 'team/deep/alone', alone, 'v1');
    await core.send('DELETE', `/v2/${app}/manifests/${above.descriptor.digest}`);
    await core.send('DELETE', `/v2/team/deep/alone/manifests/${alone.descriptor.digest}`);
    await collect();
    assert.deepEqual(await storage.driver.list(paths.namespace('team')), ['app']);
    const { text } = await core.send('GET', '/v2/_catalog');
    assert.deepEqual(JSON.parse(text), { repositories: [`${app}/below`] });
    await assertWhole(below, `${app}/below`);
    await pushImage(core, app, above, 'v1');
    await assertWhole(above);
  });

  test('digests spelt with escapes, in odd places, and of sha512 are seen', async () => {
    const layer = makeLayer(100);
    await pushBlob(core, app, layer);
    const escaped = layer.descriptor.digest.replace('sha256', '\\u0073ha256');
    const config = makeLayer(10);
    await pushBlob(core, app, config);
    const text = JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: config.descriptor,
      layers: [],
      somethingNew: [{ of: 'DIGEST' }],
    }).replace('DIGEST', escaped);
    const manifest = { ...describeJson(mediaTypes.ociManifest, {}), bytes: Buffer.from(text) };
    assert.equal((await pushManifest(core, app, manifest, 'v1')).status, 201);
    assert.equal((await collect()).garbage.blobs, 0);
  });

  test('an alias of the original registry keeps the bytes it leads to', async () => {
    const image = makeImage();
    await pushImage(core, app, image, 'v1');
    const layer = image.blobs[1] as Fixture;
    // The original stores a sha512 layer under its sha256 digest.
    const alias = `sha512:${'ab'.repeat(64)}` as never;
    const real = makeLayer(50);
    await storage.driver.put(paths.blob(real.descriptor.digest), real.bytes);
    await storage.driver.put(
      paths.layerLink(app as never, alias),
      Buffer.from(real.descriptor.digest),
    );
    const manifest = describeJson(mediaTypes.ociManifest, {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: layer.descriptor,
      layers: [{ ...real.descriptor, digest: alias }],
    });
    assert.equal((await pushManifest(core, app, manifest, 'v2')).status, 201);
    await collect();
    assert.equal(await isStored(real), true);
  });

  test('storage that fails in the middle of marking ends the collection before anything goes', async () => {
    await pushImage(core, app, makeImage(), 'v1');
    await pushBlob(core, app, makeLayer());
    const failing = createSteppingDriver(storage.driver, async ({ operation, path }) => {
      if (operation === 'read' && /\/blobs\//.test(path)) throw new Error('EIO');
    });
    await assert.rejects(
      collectGarbage(failing, { untagged: true, dryRun: false, delay: 0, grace: 0 }),
      /EIO/,
    );
    assert.deepEqual(await storage.driver.list(paths.trash), []);
  });

  test('a collector that dies at any step leaves everything pullable, and the next one finishes', async () => {
    const image = makeImage();
    await pushImage(core, app, image, 'v1');
    const rest = makeImage('oci', [200]);
    await pushImage(core, app, rest);
    await pushBlob(core, 'team/other', makeLayer());
    for (let last = 1; ; last += 1) {
      const dying = createSteppingDriver(storage.driver, async ({ number }) => {
        if (number > last) throw new Error('killed');
      });
      const options = { untagged: true, dryRun: false, delay: 0, grace: day };
      const now = () => new Date(clock);
      const ended = await collectGarbage(dying, { ...options, now }).then(
        () => true,
        () => false,
      );
      await assertWhole(image);
      // What was untagged comes back too, and is garbage again for the next one.
      await assertWhole(rest);
      clock += 1000;
      if (ended) break;
      assert.ok(last < 300);
    }
    clock += 2 * day;
    await collect({ untagged: true, delay: 0 });
    clock += 2 * day;
    await collect({ untagged: true, delay: 0 });
    assert.deepEqual(await storage.driver.list(paths.trash), []);
    await assertWhole(image);
    assert.equal(await manifestStatus(rest), 404);
  });

  test('at every step of a collection, clients find what they rely on', async () => {
    const image = makeImage();
    for (const blob of image.blobs) await pushBlob(core, app, blob);
    let probes = 0;
    const probe = async () => {
      probes += 1;
      const [config, layer] = image.blobs as [Fixture, Fixture];
      assert.equal(await blobStatus(config), 200);
      const query = `?mount=${layer.descriptor.digest}&from=${app}`;
      const mounted = await core.send('POST', `/v2/team/target/blobs/uploads/${query}`);
      assert.equal(mounted.status, 201);
      assert.equal((await pushManifest(core, app, image, 'v1')).status, 201);
      await assertWhole(image);
      await core.send('DELETE', `/v2/${app}/manifests/${image.descriptor.digest}`);
    };
    const stepping = createSteppingDriver(storage.driver, async () => {
      await probe();
    });
    const report = await collectGarbage(stepping, {
      untagged: true,
      dryRun: false,
      delay: 0,
      grace: day,
      now: () => new Date(clock),
    });
    assert.ok(report.garbage.blobs > 0, 'it did collect');
    assert.ok(probes > 20);
  });
});

test('where nothing may be written, what is missed is read from the trash', async () => {
  const folder = await createTemporaryFolder();
  const driver = await createFilesystemDriver(folder.path);
  const writing = await startCore({ driver });
  const image = makeImage();
  await pushImage(writing, app, image);
  await writing.close();
  const now = () => new Date(Date.now() + 2 * day);
  await collectGarbage(driver, { untagged: true, dryRun: false, delay: 0, grace: day, now });
  const before = await folder.files();
  const readOnly = await createFilesystemDriver(folder.path, { readOnly: true });
  const reading = await startCore({ driver: readOnly, readOnly: true });
  const path = `/v2/${app}/manifests/${image.descriptor.digest}`;
  assert.deepEqual((await reading.send('GET', path)).body, image.bytes);
  for (const { bytes, descriptor } of image.blobs) {
    const { body } = await reading.send('GET', `/v2/${app}/blobs/${descriptor.digest}`);
    assert.deepEqual(body, bytes);
  }
  const rehearsal = { untagged: true, dryRun: true, delay: 0, grace: day, now };
  await collectGarbage(readOnly, rehearsal);
  assert.deepEqual(await folder.files(), before);
  await reading.close();
  await folder.remove();
});
