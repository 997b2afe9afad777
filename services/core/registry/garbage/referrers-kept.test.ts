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
import { createSteppingDriver, type Step } from '../../../../test/support/stepping-driver.ts';
import { StorageError } from '../../storage/driver.ts';
import { paths } from '../paths.ts';
import { collectGarbage } from './collect.ts';
import type { CollectOptions } from './collection.ts';

const app = 'team/app';
const day = 24 * 60 * 60 * 1000;

describeEachStorage('what is about a manifest', (open) => {
  let storage: OpenStorage;
  let core: Core;
  let clock: number;
  let image: ImageFixture;
  let signature: Fixture;

  beforeEach(async () => {
    storage = await open();
    core = await startCore({ driver: storage.driver });
    // Two days after everything was pushed, so that nothing is young.
    clock = Date.now() + 2 * day;
    image = makeImage();
    await pushImage(core, app, image);
    signature = await pushReferrer(image);
  });

  afterEach(async () => {
    await core.close();
    await storage.close();
  });

  const collect = (options: Partial<CollectOptions> = {}, driver = storage.driver) =>
    collectGarbage(driver, {
      untagged: true,
      dryRun: false,
      delay: day,
      grace: day,
      now: () => new Date(clock),
      ...options,
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
    assert.equal((await pushManifest(core, app, manifest)).status, 201);
    return manifest;
  }

  async function referrersOf({ descriptor }: Fixture): Promise<string[]> {
    const { text } = await core.send('GET', `/v2/${app}/referrers/${descriptor.digest}`);
    return (JSON.parse(text).manifests as { digest: string }[]).map(({ digest }) => digest);
  }

  const tagImage = async () =>
    assert.equal((await pushManifest(core, app, image, 'v1')).status, 201);

  /** Calls back before steps of a collection. */
  async function collectWith(before: (step: Step) => Promise<void>): Promise<void> {
    await collect({}, createSteppingDriver(storage.driver, before));
  }

  test('is listed again when what it is about comes back', async () => {
    for (const bringBack of [
      tagImage,
      () => core.send('GET', `/v2/${app}/manifests/${image.descriptor.digest}`),
    ]) {
      await collect();
      await bringBack();
      assert.deepEqual(await referrersOf(image), [signature.descriptor.digest]);
      await core.send('DELETE', `/v2/${app}/manifests/v1`);
    }
  });

  test('comes back by the next collection, and what is about it, though nobody lists it', async () => {
    const countersignature = await pushReferrer(signature);
    await collect();
    await tagImage();
    clock += 2 * day;
    await collect();
    clock += 2 * day;
    await collect();
    assert.deepEqual(await referrersOf(image), [signature.descriptor.digest]);
    assert.deepEqual(await referrersOf(signature), [countersignature.descriptor.digest]);
  });

  test('goes with it where nobody wants it', async () => {
    await collect();
    clock += 2 * day;
    await collect();
    clock += 2 * day;
    await collect();
    const revisions = await storage.driver.list(paths.revisions(app as never));
    assert.deepEqual(revisions, []);
    assert.deepEqual(await referrersOf(image), []);
    assert.deepEqual(await storage.driver.list(paths.allReferrers(app as never)), []);
    assert.deepEqual(await storage.driver.list(paths.repositories), []);
  });

  test('is listed, whenever in a collection what it is about is tagged', async () => {
    for (let at = 1; ; at += 1) {
      let reached = 0;
      await collectWith(async ({ number }) => {
        reached = number;
        if (number === at) await tagImage();
      });
      if (reached < at) break;
      assert.deepEqual(await referrersOf(image), [signature.descriptor.digest], `step ${at}`);
      assert.equal((await core.send('DELETE', `/v2/${app}/manifests/v1`)).status, 202);
      // What is left in the trash is emptied by the next one, so that none takes longer than the last.
      clock += 2 * day;
      assert.ok(at < 300);
    }
  });

  test('is there with it, whenever it is brought back until its time in the trash is over', async () => {
    const { digest } = image.descriptor;
    // Many of the steps, more where they take little time.
    const stride = storage.driver.name === 'inmemory' ? 3 : 29;
    for (let at = 1; ; at += stride) {
      await core.send('DELETE', `/v2/${app}/manifests/v1`);
      image = makeImage();
      await pushImage(core, app, image);
      signature = await pushReferrer(image);
      const countersignature = await pushReferrer(signature);
      const children = Array.from({ length: 4 }, () => makeImage());
      for (const child of children) await pushImage(core, app, child);
      const index = describeJson(mediaTypes.ociIndex, {
        ...(JSON.parse(String(makeIndex(children).bytes)) as object),
        subject: image.descriptor,
      });
      assert.equal((await pushManifest(core, app, index)).status, 201);
      clock += day;
      await collect();
      clock += 2 * day;
      let reached = 0;
      let isBack = false;
      await collectWith(async ({ number }) => {
        reached = number;
        if (number !== at) return;
        const { status } = await core.send(
          'GET',
          `/v2/${app}/manifests/${image.descriptor.digest}`,
        );
        isBack = status === 200;
        if (isBack) await tagImage();
      });
      if (reached < at) break;
      clock += 2 * day;
      await collect();
      if (isBack) {
        const expected = [signature, index].map(({ descriptor }) => descriptor.digest).sort();
        assert.deepEqual(await referrersOf(image), expected, `step ${at}`);
        assert.deepEqual(await referrersOf(signature), [countersignature.descriptor.digest]);
        for (const { descriptor } of children) {
          const found = await core.send('GET', `/v2/${app}/manifests/${descriptor.digest}`);
          assert.equal(found.status, 200, `step ${at}`);
        }
        for (const { bytes } of [signature, countersignature]) {
          const { config } = JSON.parse(String(bytes)) as { config: { digest: string } };
          assert.equal((await core.send('GET', `/v2/${app}/blobs/${config.digest}`)).status, 200);
        }
      }
      assert.ok(at < 1000, `${reached} steps`);
    }
    assert.equal((await core.send('HEAD', `/v2/${app}/manifests/${digest}`)).status, 404);
  });

  test('is listed, whenever in a collection another one goes through, and it is tagged then', async () => {
    const stride = storage.driver.name === 'inmemory' ? 1 : 17;
    for (let at = 1; ; at += stride) {
      image = makeImage();
      await pushImage(core, app, image);
      signature = await pushReferrer(image);
      let reached = 0;
      await collectWith(async ({ number }) => {
        reached = number;
        if (number !== at) return;
        await collect();
        await tagImage();
      });
      if (reached < at) break;
      assert.deepEqual(await referrersOf(image), [signature.descriptor.digest], `step ${at}`);
      assert.equal((await core.send('DELETE', `/v2/${app}/manifests/v1`)).status, 202);
      clock += 2 * day;
      assert.ok(at < 1000);
    }
  });

  test('stays whole in the trash where it cannot follow, as on a full disk', async () => {
    await collect();
    clock += 2 * day;
    let isFull = false;
    await collectWith(async ({ operation, path }) => {
      if (isFull && operation === 'move' && path.includes('/trash/')) {
        throw new StorageError('no-space', path);
      }
      if (isFull || operation !== 'remove' || !path.includes('/trash/')) return;
      isFull = true;
      await tagImage();
    });
    assert.ok(isFull);
    assert.deepEqual(await referrersOf(image), [signature.descriptor.digest]);
    const { config } = JSON.parse(String(signature.bytes)) as { config: { digest: string } };
    assert.equal((await core.send('GET', `/v2/${app}/blobs/${config.digest}`)).status, 200);
  });

  test('is there as long as a younger copy of it is in the trash, and no copy stays there', async () => {
    await collect();
    clock += day;
    assert.equal((await pushManifest(core, app, signature)).status, 201);
    clock += day;
    // Removes the first copy for good, and the image, and takes the second away.
    await collect();
    await pushImage(core, app, image, 'v1');
    clock += 1000;
    await collect();
    assert.deepEqual(await referrersOf(image), [signature.descriptor.digest]);
    assert.equal((await pushManifest(core, app, signature)).status, 201);
    clock += 3 * day;
    assert.equal((await collect()).trash.items, 0);
    assert.deepEqual(await referrersOf(image), [signature.descriptor.digest]);
  });

  test('that is not listed, because something ended half way, is listed by the next collection', async () => {
    await tagImage();
    const { digest } = signature.descriptor;
    await storage.driver.remove(paths.referrer(app as never, image.descriptor.digest, digest));
    assert.deepEqual(await referrersOf(image), []);
    await collect({ dryRun: true });
    assert.deepEqual(await referrersOf(image), []);
    await collect();
    assert.deepEqual(await referrersOf(image), [digest]);
  });

  test('is listed, whenever in a collection it is pushed that finds the entry of an earlier one', async () => {
    const { digest } = signature.descriptor;
    const entry = paths.referrer(app as never, image.descriptor.digest, digest);
    await tagImage();
    for (let at = 1; ; at += 1) {
      // As an attempt to delete it leaves it that ended half way.
      await core.send('DELETE', `/v2/${app}/manifests/${digest}`);
      await storage.driver.put(entry, Buffer.from(digest));
      let reached = 0;
      await collectWith(async ({ number }) => {
        reached = number;
        if (number === at) assert.equal((await pushManifest(core, app, signature)).status, 201);
      });
      if (reached < at) break;
      assert.deepEqual(await referrersOf(image), [digest], `step ${at}`);
      // What is left in the trash is emptied by the next one, so that none takes longer than the last.
      clock += 2 * day;
      assert.ok(at < 300);
    }
  });

  const entry = () =>
    paths.referrer(app as never, image.descriptor.digest, signature.descriptor.digest);
  const rest = async () => await storage.driver.list(paths.allReferrers(app as never));

  test('an entry without a manifest goes, also where it is young when all else goes', async () => {
    // A push that ended between the two, of an image whose layers were there for long.
    const link = paths.revisionFolder(app as never, signature.descriptor.digest);
    await storage.driver.remove(link);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await storage.driver.put(entry(), Buffer.alloc(0));
    clock = Date.now();
    const { removedRepositories } = await collect({ delay: 200 });
    assert.equal(removedRepositories, 0);
    assert.notDeepEqual(await rest(), []);
    clock += 2 * day;
    await collect();
    assert.deepEqual(await rest(), []);
    assert.deepEqual(await storage.driver.list(paths.repositories), []);
  });

  test('an entry is removed also where nothing else is left', async () => {
    const { bytes } = image;
    await storage.driver.remove(paths.namespace(app));
    await storage.driver.put(entry(), bytes.subarray(0, 0));
    assert.equal((await collect()).removedRepositories, 1);
    assert.deepEqual(await rest(), []);
  });
});
