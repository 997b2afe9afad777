import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { parseRepositoryName, parseTag } from '#libs/oci/reference.ts';
import { createUploadId } from '#libs/oci/upload-id.ts';
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
  makeLayer,
  mediaTypes,
} from '../../../../test/support/images.ts';
import { createSteppingDriver } from '../../../../test/support/stepping-driver.ts';
import { StorageError, type StoragePath } from '../../storage/driver.ts';
import { collectGarbage } from '../garbage/collect.ts';
import { paths } from '../paths.ts';
import { type CheckReport, checkTree } from './check-tree.ts';

const app = parseRepositoryName('team/app');
const latest = parseTag('latest');

describeEachStorage('looking for damage', (open) => {
  let storage: OpenStorage;
  let core: Core;
  let image: ImageFixture;
  let layer: Fixture;

  beforeEach(async () => {
    storage = await open();
    core = await startCore({ driver: storage.driver });
    image = makeImage();
    layer = image.blobs[1] as Fixture;
    await pushImage(core, app, image, latest);
  });

  afterEach(async () => {
    await core.close();
    await storage.close();
  });

  const check = (repair = false, hash = true): Promise<CheckReport> =>
    checkTree(storage.driver, {
      repair,
      hash,
      uploadsBefore: new Date(Date.now() - 3_600_000),
      now: () => new Date(Date.now() + later),
    });

  /** Milliseconds that the look comes after what is there was written. */
  let later = 3_600_000;

  const kinds = ({ findings }: CheckReport) => findings.map(({ kind }) => kind).sort();

  const write = (path: StoragePath, text: string) => storage.driver.put(path, Buffer.from(text));

  /** Finds exactly this, repairs what can be, and finds only the rest afterwards. */
  async function assertFinds(expected: string[], left: string[] = []): Promise<void> {
    assert.deepEqual(kinds(await check()), expected);
    const repaired = await check(true);
    assert.deepEqual(kinds(repaired), expected);
    assert.equal(repaired.findings.filter(({ repaired: done }) => !done).length, left.length);
    assert.deepEqual(kinds(await check()), left);
  }

  test('a sound tree has nothing wrong, and what it holds is counted', async () => {
    await pushBlob(core, app, makeLayer(77));
    const unlinked = makeLayer(33);
    await storage.driver.put(paths.blob(unlinked.descriptor.digest), unlinked.bytes);
    const { findings, summary } = await check();
    assert.deepEqual(findings, []);
    assert.deepEqual(
      [summary.repositories, summary.manifests, summary.tags, summary.blobs.count],
      [1, 1, 1, 6],
    );
    assert.deepEqual(summary.unreferenced, { count: 1, bytes: 33 });
  });

  test('a torn link of a layer, and the manifest that relies on it', async () => {
    await write(paths.layerLink(app, layer.descriptor.digest), '');
    await assertFinds(['missing-content', 'torn-link'], ['missing-content']);
    await pushBlob(core, app, layer);
    await assertFinds([]);
  });

  test('a torn tag that only ever pointed at one manifest points there again', async () => {
    await write(paths.tagCurrent(app, latest), image.descriptor.digest.slice(0, 20));
    await assertFinds(['torn-link']);
    const { headers } = await core.send('HEAD', `/v2/${app}/manifests/latest`);
    assert.equal(headers['docker-content-digest'], image.descriptor.digest);
  });

  test('the folder of a tag that is none', async () => {
    await storage.driver.remove(paths.tagCurrent(app, latest));
    await assertFinds(['stale-tag']);
    assert.deepEqual(await storage.driver.list(paths.tags(app)), []);
  });

  test('a torn tag that has moved before is left for a person', async () => {
    const next = makeImage();
    await pushImage(core, app, next, latest);
    await write(paths.tagCurrent(app, latest), '');
    await assertFinds(['torn-link'], ['torn-link']);
  });

  test('a tag whose manifest is not the repository’s', async () => {
    await storage.driver.remove(paths.revisionFolder(app, image.descriptor.digest));
    await assertFinds(['dangling-tag']);
  });

  test('links whose bytes are gone', async () => {
    await storage.driver.remove(paths.blob(layer.descriptor.digest));
    await assertFinds(['dangling-link', 'missing-content'], ['missing-content']);
  });

  test('bytes that are not what their digest says are put aside, and can be pushed again', async () => {
    await write(paths.blob(layer.descriptor.digest), 'x'.repeat(layer.bytes.length));
    assert.deepEqual(kinds(await check(false, false)), [], 'only a full look reads the bytes');
    const left = ['damaged-blob', 'dangling-link', 'missing-content'];
    assert.deepEqual(kinds(await check(true)), left);
    const path = `/v2/${app}/blobs/${layer.descriptor.digest}`;
    assert.equal((await core.send('HEAD', path)).status, 404);
    assert.ok(await storage.driver.stat(paths.damaged(layer.descriptor.digest)));
    await pushBlob(core, app, layer);
    assert.deepEqual((await core.send('GET', path)).body, layer.bytes);
    assert.deepEqual(kinds(await check()), []);
  });

  test('a manifest that tells another size', async () => {
    const config = { ...image.blobs[0]?.descriptor, size: 1 };
    const lying = describeJson(mediaTypes.ociManifest, {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config,
      layers: [],
    });
    await pushManifest(core, app, lying, 'lying');
    await assertFinds(['wrong-size'], ['wrong-size']);
  });

  test('uploads that nobody will finish, with a date and without', async () => {
    const [dated, young] = [createUploadId(), createUploadId()];
    await write(paths.uploadStartedAt(app, dated), '2020-01-01T00:00:00Z');
    await write(paths.uploadStartedAt(app, young), new Date().toISOString());
    await assertFinds(['orphan-upload']);
    assert.deepEqual(await storage.driver.list(paths.uploads(app)), [young]);
  });

  test('referrers that are not listed, or listed and gone', async () => {
    const about = describeJson(mediaTypes.ociManifest, {
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: image.blobs[0]?.descriptor,
      layers: [],
      subject: image.descriptor,
    });
    await pushManifest(core, app, about);
    const subject = image.descriptor.digest;
    await storage.driver.remove(paths.referrer(app, subject, about.descriptor.digest));
    const gone = makeLayer().descriptor.digest;
    await write(paths.referrer(app, subject, gone), gone);
    later = 0;
    assert.deepEqual(kinds(await check()), ['unlisted-referrer'], 'a push may be about to end');
    later = 3_600_000;
    await assertFinds(['stale-referrer', 'unlisted-referrer']);
    const { text } = await core.send('GET', `/v2/${app}/referrers/${subject}`);
    assert.equal(JSON.parse(text).manifests[0].digest, about.descriptor.digest);
  });

  test('what lies in the trash is not missing', async () => {
    await core.send('DELETE', `/v2/${app}/manifests/latest`);
    await collectGarbage(storage.driver, {
      untagged: true,
      dryRun: false,
      delay: 0,
      grace: 1e9,
      now: () => new Date(Date.now() + 1000),
    });
    const { findings, summary } = await check();
    assert.deepEqual(findings, []);
    assert.ok(summary.trash.count > 0);
  });

  test('what is pushed in the moment before its repair stays', async () => {
    const repairing = async (path: StoragePath, push: () => Promise<unknown>) => {
      let isPushed = false;
      const stepping = createSteppingDriver(storage.driver, async (step) => {
        if (isPushed || step.path !== path || !['remove', 'move'].includes(step.operation)) return;
        isPushed = true;
        await push();
      });
      const { findings } = await checkTree(stepping, {
        repair: true,
        hash: true,
        uploadsBefore: new Date(0),
      });
      assert.ok(isPushed);
      assert.deepEqual(findings, []);
      const { status } = await core.send('GET', `/v2/${app}/manifests/${latest}`);
      assert.equal(status, 200);
      const blob = `/v2/${app}/blobs/${layer.descriptor.digest}`;
      assert.equal((await core.send('GET', blob)).status, 200);
    };
    const { digest } = layer.descriptor;
    await storage.driver.remove(paths.blob(digest));
    await repairing(paths.layerLink(app, digest), () => pushBlob(core, app, layer));
    await storage.driver.put(paths.blob(digest), Buffer.alloc(layer.bytes.length));
    await repairing(paths.blob(digest), () => storage.driver.put(paths.blob(digest), layer.bytes));
    await storage.driver.remove(paths.revisionFolder(app, image.descriptor.digest));
    await repairing(paths.tagCurrent(app, latest), () => pushImage(core, app, image, latest));
  });

  test('one repair is enough, where each thing was wrong because of another', async () => {
    await storage.driver.put(paths.blob(image.descriptor.digest), Buffer.from('damaged'));
    const { findings } = await check(true);
    const expected = ['damaged-blob', 'dangling-link', 'dangling-tag'];
    assert.deepEqual(findings.map(({ kind, repaired }) => repaired && kind).sort(), expected);
    assert.deepEqual(kinds(await check()), []);
  });

  test('what happens to a tag between the last look and its repair stands', async () => {
    const other = makeImage();
    for (const blob of other.blobs) await pushBlob(core, app, blob);
    const status = async () => (await core.send('GET', `/v2/${app}/manifests/${latest}`)).status;
    const happenings: [what: () => Promise<unknown>, status: number][] = [
      [() => pushManifest(core, app, other, latest), 200],
      [
        async () => {
          await pushImage(core, app, image, latest);
          await core.send('DELETE', `/v2/${app}/manifests/${latest}`);
        },
        404,
      ],
    ];
    for (const [happen, expected] of happenings) {
      await pushImage(core, app, image, latest);
      await storage.driver.remove(paths.revisionFolder(app, image.descriptor.digest));
      let looks = 0;
      const stepping = createSteppingDriver(storage.driver, async ({ operation, path }) => {
        if (path !== paths.tagCurrent(app, latest) || operation !== 'move') return;
        looks += 1;
        if (looks === 1) await happen();
      });
      await checkTree(stepping, { repair: true, hash: false, uploadsBefore: new Date(0) });
      assert.equal(looks, 1);
      assert.equal(await status(), expected);
    }
  });

  test('a link that cannot be judged once it was taken goes back', async () => {
    await storage.driver.remove(paths.revisionFolder(app, image.descriptor.digest));
    let isTaken = false;
    const failing = createSteppingDriver(storage.driver, async ({ operation, path }) => {
      if (operation === 'move') isTaken = true;
      const isLook = path === paths.revisionLink(app, image.descriptor.digest);
      if (isTaken && isLook) throw new StorageError('failed', path);
    });
    const options = { repair: true, hash: false, uploadsBefore: new Date(0) };
    await assert.rejects(checkTree(failing, options), { code: 'failed' });
    assert.ok(isTaken);
    assert.deepEqual(kinds(await check()), ['dangling-tag'], 'the tag is where it was');
  });

  test('a push at any step of the look is no finding', async () => {
    let pushes = 0;
    let last: ImageFixture | undefined;
    const stepping = createSteppingDriver(storage.driver, async ({ number }) => {
      if (number % 7 !== 0 || pushes > 15) return;
      pushes += 1;
      if (last !== undefined) {
        await core.send('DELETE', `/v2/${app}/manifests/${last.descriptor.digest}`);
      }
      last = makeImage();
      await pushImage(core, app, last, `t${pushes % 3}`);
    });
    const { findings } = await checkTree(stepping, {
      repair: false,
      hash: true,
      uploadsBefore: new Date(Date.now() - 3_600_000),
    });
    assert.deepEqual(findings, []);
    assert.ok(pushes > 3);
  });
});
