import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { digestOf } from '#libs/oci/digest.ts';
import { parseRepositoryName, parseTag } from '#libs/oci/reference.ts';
import { type Core, pushImage, startCore } from '../../../../test/support/core.ts';
import { describeEachStorage, type OpenStorage } from '../../../../test/support/each-storage.ts';
import { createFailingDriver } from '../../../../test/support/failing-driver.ts';
import { type ImageFixture, makeImage } from '../../../../test/support/images.ts';
import { allNotes, type DanglingLink, noteLink, replaceByNote } from '../dangling-links.ts';
import { collectGarbage } from '../garbage/collect.ts';
import { paths } from '../paths.ts';
import { writeLink } from '../small-files.ts';
import { checkTree } from './check-tree.ts';

const app = parseRepositoryName('team/app');
const latest = parseTag('latest');
const day = 24 * 60 * 60 * 1000;

describeEachStorage('a tree of which one half was restored', (open) => {
  let storage: OpenStorage;
  let core: Core;
  let image: ImageFixture;

  beforeEach(async () => {
    storage = await open();
    core = await startCore({ driver: storage.driver });
    image = makeImage();
    await pushImage(core, app, image, latest);
  });
  afterEach(async () => {
    await core.close();
    await storage.close();
  });

  const later = () => new Date(Date.now() + day);
  const check = async (repair: boolean) => {
    const { findings } = await checkTree(storage.driver, {
      ...{ repair: repair ? core.locks : undefined, hash: true, now: later },
      uploadsBefore: new Date(0),
    });
    return findings.map(({ kind, repaired }) => `${kind}${repaired ? ', repaired' : ''}`).sort();
  };
  const options = { untagged: true, dryRun: false, delay: 0, grace: 0, now: later };
  const collect = (days = 1) =>
    collectGarbage(storage.driver, {
      ...options,
      now: () => new Date(Date.now() + days * day),
    });
  const notes = async () =>
    (await Array.fromAsync(allNotes(storage.driver))).map(({ link }) => link.kind);
  const parts = () => [...image.blobs, image];
  const takeBlobs = async () => {
    for (const { descriptor } of parts())
      await storage.driver.remove(paths.blob(descriptor.digest));
  };
  const restoreBlobs = async () => {
    for (const { descriptor, bytes } of parts()) {
      await storage.driver.put(paths.blob(descriptor.digest), bytes);
    }
  };
  const pull = async (reference: string = latest) =>
    (await core.send('GET', `/v2/${app}/manifests/${reference}`)).status;
  const layers = async () =>
    await Promise.all(
      image.blobs.map(
        async ({ descriptor }) =>
          (await core.send('HEAD', `/v2/${app}/blobs/${descriptor.digest}`)).status,
      ),
    );

  test('is whole again with the other half, whatever was repaired and collected meanwhile', async () => {
    await takeBlobs();
    const links = image.blobs.length + 1;
    assert.deepEqual(await check(true), [
      ...Array.from({ length: links }, () => 'dangling-link, repaired'),
      'dangling-tag, repaired',
    ]);
    assert.deepEqual(await check(false), []);
    assert.equal(await pull(), 404);
    await collect();
    await restoreBlobs();
    // What came back stays until it is looked at.
    const before = await notes();
    await collectGarbage(storage.driver, { ...options, dryRun: true });
    await collect();
    assert.deepEqual(await notes(), before);
    assert.equal((await check(false)).length, links);
    assert.deepEqual(await check(true), [
      ...Array.from({ length: links + 1 }, () => 'misplaced-link, repaired'),
    ]);
    assert.deepEqual([await pull(), ...(await layers())], [200, 200, 200, 200].slice(0, links));
    assert.ok(await storage.driver.stat(paths.tagIndex(app, latest, image.descriptor.digest)));
    assert.deepEqual(await notes(), []);
    assert.deepEqual(await check(false), []);
    await collect();
    assert.equal(await pull(), 200);
  });

  test('that was pushed again has nothing to be put back', async () => {
    await takeBlobs();
    await check(true);
    await pushImage(core, app, image, latest);
    assert.deepEqual(await check(false), []);
    for (const reference of [latest, image.descriptor.digest]) {
      const { status } = await core.send('DELETE', `/v2/${app}/manifests/${reference}`);
      assert.equal(status, 202);
    }
    assert.deepEqual(await check(true), []);
    assert.deepEqual([await pull(), await pull(image.descriptor.digest)], [404, 404]);
    // Nor does it keep anything.
    const { garbage } = await collect();
    assert.equal(garbage.blobs, image.blobs.length + 1);
  });

  test('with more links than are read at once has a note of each', async () => {
    const many = Array.from({ length: 1001 }, (_, number) => digestOf(Buffer.from(`${number}`)));
    for (const digest of many) {
      const link = { kind: 'layer', repository: app, digest, target: digest } as const;
      await replaceByNote(storage.driver, link, {});
    }
    assert.equal((await notes()).length, many.length);
  });

  test('has its links until they are noted', async () => {
    await takeBlobs();
    const driver = createFailingDriver(storage.driver);
    driver.failOn(
      'no-space',
      (operation, path) => operation === 'put' && path.includes('dangling'),
    );
    const repair = () =>
      checkTree(driver, { repair: core.locks, hash: false, uploadsBefore: new Date(0) });
    await assert.rejects(repair(), { code: 'no-space' });
    assert.equal(await storage.driver.stat(paths.tagCurrent(app, latest)).then(() => true), true);
    await restoreBlobs();
    assert.deepEqual(await check(true), []);
    assert.equal(await pull(), 200);
  });

  test('loses nothing to a collection while a manifest is away', async () => {
    await storage.driver.remove(paths.blob(image.descriptor.digest));
    const { absent, garbage } = await collect();
    assert.deepEqual(absent, { manifests: 1 });
    assert.deepEqual([garbage.manifests, garbage.layers, garbage.blobs], [0, 0, 0]);
    await storage.driver.put(paths.blob(image.descriptor.digest), image.bytes);
    assert.equal((await collect()).absent.manifests, 0);
    assert.deepEqual(new Set([await pull(), ...(await layers())]), new Set([200]));
  });

  for (const [what, bytes] of [
    ['empty', Buffer.alloc(0)],
    ['cut off', undefined],
  ] as const) {
    test(`loses nothing to a collection while a manifest is ${what}`, async () => {
      const path = paths.blob(image.descriptor.digest);
      await storage.driver.put(path, bytes ?? image.bytes.subarray(0, 100));
      assert.equal((await collect()).absent.manifests, 1);
      await storage.driver.put(path, image.bytes);
      assert.deepEqual(new Set([await pull(), ...(await layers())]), new Set([200]));
    });
  }

  test('has no tag put back whose manifest was deleted after it was pushed again under another one', async () => {
    await takeBlobs();
    await check(true);
    await pushImage(core, app, image, 'other');
    const { digest } = image.descriptor;
    assert.equal((await core.send('DELETE', `/v2/${app}/manifests/${digest}`)).status, 202);
    await pushImage(core, app, image, 'other');
    await check(true);
    assert.deepEqual([await pull('other'), await pull()], [200, 404]);
  });

  test('is deleted for good, whichever way', async () => {
    const { digest } = image.descriptor;
    const deletions = {
      tag: () => core.send('DELETE', `/v2/${app}/manifests/${latest}`),
      manifest: () => core.send('DELETE', `/v2/${app}/manifests/${digest}`),
    };
    for (const [what, remove] of Object.entries(deletions)) {
      for (const isPushedAgain of [true, false]) {
        await pushImage(core, app, image, latest);
        await takeBlobs();
        await check(true);
        if (isPushedAgain) await pushImage(core, app, image, latest);
        await remove();
        assert.ok(!(await notes()).includes(what as 'tag'), `${what} ${isPushedAgain}`);
        await restoreBlobs();
        await check(true);
        assert.equal(await pull(), 404, `${what} ${isPushedAgain}`);
      }
    }
    for (const { descriptor } of image.blobs) {
      await pushImage(core, app, image, latest);
      await takeBlobs();
      await check(true);
      await pushImage(core, app, image, latest);
      await core.send('DELETE', `/v2/${app}/blobs/${descriptor.digest}`);
      await check(true);
      assert.equal((await layers()).filter((status) => status === 404).length, 1);
    }
  });

  test('has its notes after a delete that was not done', async () => {
    const driver = createFailingDriver(storage.driver);
    const other = await startCore({ driver });
    const { digest } = image.descriptor;
    const [layer] = image.blobs;
    const common = { repository: app, target: digest };
    const links: DanglingLink[] = [
      { ...common, kind: 'tag', tag: parseTag('gone') },
      { ...common, kind: 'tag', tag: latest },
      { ...common, kind: 'manifest', digest },
      { ...common, kind: 'layer', digest: layer?.descriptor.digest ?? digest },
    ];
    for (const link of links) await noteLink(storage.driver, link, {});
    driver.failOn('no-space', (operation, path) => {
      return ['remove', 'move'].includes(operation) && !path.includes('dangling');
    });
    for (const subject of [
      `manifests/${latest}`,
      `manifests/${digest}`,
      `blobs/${layer?.descriptor.digest}`,
    ]) {
      const { status } = await other.send('DELETE', `/v2/${app}/${subject}`);
      assert.equal(status, 503, subject);
    }
    assert.deepEqual((await notes()).sort(), ['layer', 'manifest', 'tag', 'tag']);
    await other.close();
  });

  test('has the tag back that was there last', async () => {
    for (let round = 0; round < 10; round += 1) {
      const later = makeImage();
      for (const one of [image, later]) {
        await pushImage(core, app, one, latest);
        await storage.driver.remove(paths.blob(one.descriptor.digest));
        await check(true);
      }
      assert.equal((await notes()).filter((kind) => kind === 'tag').length, 1);
      for (const one of [image, later]) {
        await storage.driver.put(paths.blob(one.descriptor.digest), one.bytes);
      }
      await check(true);
      const { headers } = await core.send('HEAD', `/v2/${app}/manifests/${latest}`);
      assert.equal(headers['docker-content-digest'], later.descriptor.digest);
    }
  });

  test('has the note that was made last, where a repair ended between two', async () => {
    const { digest } = image.descriptor;
    const other = makeImage();
    await pushImage(core, app, other, 'other');
    await storage.driver.remove(paths.tagCurrent(app, latest));
    const { remove } = storage.driver;
    storage.driver.remove = async () => {};
    for (const target of [other.descriptor.digest, digest]) {
      await noteLink(storage.driver, { kind: 'tag', repository: app, tag: latest, target }, {});
      await sleep(20);
    }
    storage.driver.remove = remove;
    assert.deepEqual(await notes(), ['tag', 'tag']);
    await check(true);
    const { headers } = await core.send('HEAD', `/v2/${app}/manifests/${latest}`);
    assert.deepEqual([headers['docker-content-digest'], await notes()], [digest, []]);
  });

  test('has its notes until they are of no use', async () => {
    const { digest } = image.descriptor;
    const link = { kind: 'manifest', repository: app, digest, target: digest } as const;
    // As a repair that is in the middle leaves it, or one that ended there.
    await noteLink(storage.driver, link, {});
    const minute = 1 / (24 * 60);
    await collect(minute);
    assert.deepEqual(await notes(), ['manifest']);
    await collect(60 * minute);
    assert.deepEqual(await notes(), []);
    await storage.driver.remove(paths.blob(digest));
    await check(true);
    await collect(29);
    assert.ok((await notes()).includes('manifest'));
    await collect(31);
    assert.deepEqual(await notes(), []);
  });

  test('has the note of what a repair takes away beside a collection that looks at an earlier one', async () => {
    const manifest = paths.blob(image.descriptor.digest);
    await storage.driver.remove(manifest);
    await check(true);
    await pushImage(core, app, image, latest);
    await storage.driver.remove(manifest);
    let isRepaired = false;
    // As if the collection were held up between its look at a note and what it does then.
    const { remove } = storage.driver;
    storage.driver.remove = async (path, step) => {
      if (path.includes('dangling') && !isRepaired) {
        isRepaired = true;
        await check(true);
      }
      await remove.call(storage.driver, path, step);
    };
    await collect();
    assert.ok(isRepaired);
    await storage.driver.put(manifest, image.bytes);
    await check(true);
    assert.deepEqual([await pull(), await pull(image.descriptor.digest)], [200, 200]);
  });

  test('loses nothing to a collection while the link is away to which a tag points', async () => {
    await storage.driver.remove(paths.revisionFolder(app, image.descriptor.digest));
    const other = makeImage();
    await pushImage(core, app, other);
    const { absent, garbage } = await collect();
    assert.deepEqual([absent.manifests, garbage.layers, garbage.blobs], [1, 0, 0]);
    // Nor does one go that the manifest may name.
    assert.equal(await pull(other.descriptor.digest), 200);
    const { digest } = image.descriptor;
    await writeLink(storage.driver, paths.revisionLink(app, digest), digest);
    assert.deepEqual(new Set([await pull(), ...(await layers())]), new Set([200]));
  });

  test('loses no layer of a manifest that a repair has put aside, for thirty days', async () => {
    await storage.driver.remove(paths.blob(image.descriptor.digest));
    await check(true);
    assert.equal((await collect(29)).absent.manifests, 1);
    await storage.driver.put(paths.blob(image.descriptor.digest), image.bytes);
    await check(true);
    assert.deepEqual(new Set([await pull(), ...(await layers())]), new Set([200]));
    await storage.driver.remove(paths.blob(image.descriptor.digest));
    await check(true);
    const { absent, garbage } = await collect(31);
    assert.deepEqual([absent.manifests, garbage.layers], [0, image.blobs.length]);
  });

  test('keeps the other manifests of a repository one of which is away, also without a tag', async () => {
    const [other, gone] = [makeImage(), makeImage()];
    await pushImage(core, app, other);
    await pushImage(core, app, gone, 'gone');
    await storage.driver.remove(paths.blob(gone.descriptor.digest));
    await collect();
    assert.equal(await pull(other.descriptor.digest), 200);
    await check(true);
    await collect();
    assert.equal(await pull(other.descriptor.digest), 200);
    // Without it, nothing keeps the one that has no tag.
    await collect(31);
    assert.equal(await pull(other.descriptor.digest), 404);
    assert.equal(await pull(), 200);
  });
});
