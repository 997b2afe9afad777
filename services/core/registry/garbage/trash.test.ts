import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import type { Digest } from '#libs/oci/digest.ts';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { type Core, pushImage, pushManifest, startCore } from '../../../../test/support/core.ts';
import { describeEachStorage, type OpenStorage } from '../../../../test/support/each-storage.ts';
import { type Fixture, makeImage, makeIndex, makeLayer } from '../../../../test/support/images.ts';
import { createSteppingDriver } from '../../../../test/support/stepping-driver.ts';
import { checkTree } from '../fsck/check-tree.ts';
import { paths } from '../paths.ts';
import { readAll } from '../small-files.ts';
import { collectGarbage } from './collect.ts';
import { createEpoch } from './epoch.ts';
import { createTrash } from './trash.ts';

const app = parseRepositoryName('team/app');
const day = 24 * 60 * 60 * 1000;

describeEachStorage('what was collected', (open) => {
  let storage: OpenStorage;
  let core: Core;

  beforeEach(async () => {
    storage = await open();
    core = await startCore({ driver: storage.driver });
  });

  afterEach(async () => {
    await core.close();
    await storage.close();
  });

  /** Two days after everything was pushed, so that nothing is young. */
  const collectUntagged = () =>
    collectGarbage(storage.driver, {
      untagged: true,
      dryRun: false,
      delay: day,
      grace: day,
      now: () => new Date(Date.now() + 2 * day),
    });

  const statusOf = async ({ descriptor }: Fixture) =>
    (await core.send('HEAD', `/v2/${app}/manifests/${descriptor.digest}`)).status;
  const isStored = async ({ descriptor }: Fixture) =>
    await storage.driver.stat(paths.blob(descriptor.digest)).then(
      () => true,
      () => false,
    );

  test('what a torn link is of stays for a person to judge, with all that it names', async () => {
    const image = makeImage();
    await pushImage(core, app, image);
    const { digest } = image.descriptor;
    await storage.driver.put(paths.revisionLink(app, digest), Buffer.from('sha2'));
    const { removedRepositories, garbage } = await collectUntagged();
    assert.deepEqual(
      [removedRepositories, garbage],
      [0, { manifests: 0, layers: 0, blobs: 0, bytes: 0 }],
    );
    assert.equal((await pushManifest(core, app, image, 'v1')).status, 201);
  });

  test('an older copy never comes over what was pushed, taken away and brought back since', async () => {
    const { driver } = storage;
    const trash = createTrash(driver);
    const { descriptor, bytes } = makeLayer(1000);
    const item = { kind: 'blob', digest: descriptor.digest } as const;
    const place = paths.blob(descriptor.digest);
    await driver.put(place, Buffer.from('damaged'));
    await trash.discard(createEpoch(new Date(1)), item);
    await driver.put(place, bytes);
    await trash.discard(createEpoch(new Date(2)), item);
    // Also of another core, which knows nothing of those here.
    const others = createTrash(driver);
    const missed = Array.from({ length: 12 }, (_, n) => (n % 2 === 0 ? trash : others));
    for (const found of await Promise.all(missed.map((one) => one.restore(item)))) {
      assert.equal(found, place);
    }
    await trash.restore(item);
    assert.deepEqual(await readAll(driver, place), bytes);
  });

  test('an older copy never comes over what is pushed in the moment that it comes back', async () => {
    const { driver } = storage;
    const { descriptor, bytes } = makeLayer(1000);
    const item = { kind: 'blob', digest: descriptor.digest } as const;
    const place = paths.blob(descriptor.digest);
    await driver.put(place, Buffer.from('damaged'));
    await createTrash(driver).discard(createEpoch(new Date(1)), item);
    const pushedMeanwhile = createSteppingDriver(driver, async ({ operation }) => {
      if (operation === 'move') await driver.put(place, bytes);
    });
    assert.equal(await createTrash(pushedMeanwhile).restore(item), place);
    assert.deepEqual(await readAll(driver, place), bytes);
  });

  test('a manifest comes back from the trash with all that it needs, in their places', async () => {
    const images = [makeImage(), makeImage('docker')];
    const index = makeIndex(images);
    for (const image of images) await pushImage(core, app, image);
    await pushManifest(core, app, index);
    await collectUntagged();
    assert.ok(!(await isStored(index)));
    assert.equal(await statusOf(index), 200);
    for (const part of [index, ...images, ...images.flatMap(({ blobs }) => blobs)]) {
      assert.ok(await isStored(part));
    }
    const { findings } = await checkTree(storage.driver, {
      hash: true,
      uploadsBefore: new Date(0),
    });
    assert.deepEqual(findings, []);
  });

  test('a manifest whose content is gone for good does not come back', async () => {
    const image = makeImage();
    await pushImage(core, app, image);
    await collectUntagged();
    const [layer] = image.blobs;
    const [epoch] = await createTrash(storage.driver).epochs();
    assert.ok(epoch);
    const blob = { kind: 'blob', digest: layer?.descriptor.digest as Digest } as const;
    await createTrash(storage.driver).expire(epoch, blob, new Date(Date.now() + day));
    assert.equal(await statusOf(image), 404);
  });

  test('what is deleted by name does not come back from the trash', async () => {
    const image = makeImage();
    await pushImage(core, app, image);
    await collectUntagged();
    // Pushed again, so that it is in its place and in the trash.
    await pushImage(core, app, image, 'again');
    const [layer] = image.blobs;
    const paths = [`manifests/${image.descriptor.digest}`, `blobs/${layer?.descriptor.digest}`];
    for (const path of paths) {
      assert.equal((await core.send('DELETE', `/v2/${app}/${path}`)).status, 202);
    }
    for (const path of paths) {
      assert.equal((await core.send('GET', `/v2/${app}/${path}`)).status, 404, path);
    }
  });

  test('what is deleted by name while a collection takes it away does not come back', async () => {
    const image = makeImage();
    await pushImage(core, app, image);
    const { digest } = image.descriptor;
    let collected = false;
    const beside = createSteppingDriver(storage.driver, async ({ operation, path }) => {
      if (collected || operation !== 'remove' || path !== paths.revisionFolder(app, digest)) return;
      collected = true;
      await collectUntagged();
    });
    await core.close();
    core = await startCore({ driver: beside });
    const answer = await core.send('DELETE', `/v2/${app}/manifests/${digest}`);
    assert.equal(answer.status, 202);
    assert.ok(collected);
    assert.equal(await statusOf(image), 404);
  });

  test('a manifest that is listed as a referrer and about to be linked stays listed', async () => {
    const [subject, digest] = [makeImage(), makeImage()].map((one) => one.descriptor.digest);
    await pushImage(core, app, makeImage(), 'v1');
    const entry = paths.referrer(app as never, subject as Digest, digest as Digest);
    await storage.driver.put(entry, Buffer.from(digest as string));
    await collectGarbage(storage.driver, {
      untagged: false,
      dryRun: false,
      delay: day,
      grace: day,
    });
    await storage.driver.stat(entry);
    await collectUntagged();
    await assert.rejects(storage.driver.stat(entry));
  });

  test('what refers to others goes for good before these', async () => {
    const image = makeImage();
    await pushImage(core, app, image);
    await collectUntagged();
    const [epoch] = await createTrash(storage.driver).epochs();
    assert.ok(epoch);
    const kinds: string[] = [];
    for await (const { kind } of createTrash(storage.driver).items(epoch)) kinds.push(kind);
    const order = ['manifest', 'layer', 'blob'];
    assert.deepEqual(
      kinds,
      kinds.toSorted((a, b) => order.indexOf(a) - order.indexOf(b)),
    );
    assert.deepEqual(new Set(kinds), new Set(order));
  });
});
