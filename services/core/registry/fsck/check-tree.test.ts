import assert from 'node:assert/strict';
import { mkdir, rm } from 'node:fs/promises';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Digest } from '#libs/oci/digest.ts';
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
import type { StoragePath } from '../../storage/driver.ts';
import { collectGarbage } from '../garbage/collect.ts';
import { createEpoch } from '../garbage/epoch.ts';
import { createTrash } from '../garbage/trash.ts';
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
      repair: repair ? core.locks : undefined,
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
    await write(paths.below(paths.upload(app, young), 'data.1'), 'abc');
    const { count, bytes } = (await check()).summary.uploads;
    assert.deepEqual([count, bytes > 0], [2, true]);
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

  test('a blob that cannot be read is told, and the rest is looked at', async () => {
    const path = storage.driver.localPath?.(paths.blob(layer.descriptor.digest));
    if (path === undefined) return;
    await rm(path);
    await mkdir(path);
    const { findings } = await check();
    const [found, ...others] = findings.filter(({ kind }) => kind === 'unreadable-blob');
    assert.deepEqual([found?.subject, others.length], [layer.descriptor.digest, 0]);
    assert.match(found?.message ?? '', /cannot be read \(EISDIR.* move .*\/data away, and push/);
    // Whoever pushes it is not told that it is here.
    assert.equal((await core.send('HEAD', `/v2/${app}/blobs/${found?.subject}`)).status, 404);
    assert.ok(kinds(await check(true)).includes('unreadable-blob'));
    // One that can be read by the end is none.
    let times = 0;
    const driver = createSteppingDriver(storage.driver, async (step) => {
      const isLook =
        step.operation === 'read' && step.path === paths.blob(found?.subject as Digest);
      if (isLook && ++times === 2) await rm(path, { recursive: true, force: true });
    });
    const options = { repair: undefined, hash: true, uploadsBefore: new Date(0) };
    const again = await checkTree(driver, options);
    assert.deepEqual([times, kinds(again).includes('unreadable-blob')], [2, false]);
    await mkdir(path);
    await rm(path, { recursive: true });
    await pushBlob(core, app, layer);
    assert.deepEqual(kinds(await check()), []);
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

  /** Repairs, while something happens at a step of that: it may have to wait for the repair, or the repair for it. */
  async function repairWhile(
    at: (step: { operation: string; path: StoragePath }) => boolean,
    happen: () => Promise<unknown>,
  ): Promise<CheckReport> {
    let happening: Promise<unknown> | undefined;
    const stepping = createSteppingDriver(storage.driver, async (step) => {
      if (happening !== undefined || !at(step)) return;
      happening = happen();
      // As far as it gets by itself.
      await Promise.race([happening, sleep(100)]);
    });
    const options = { repair: core.locks, hash: true, uploadsBefore: new Date(0) };
    const report = await checkTree(stepping, options);
    assert.ok(happening, 'it happened');
    await happening;
    return report;
  }

  test('what is pushed in the moment of its repair is there afterwards', async () => {
    const repairing = async (path: StoragePath, push: () => Promise<unknown>) => {
      await repairWhile((step) => step.path === path && step.operation === 'remove', push);
      const { status } = await core.send('GET', `/v2/${app}/manifests/${latest}`);
      assert.equal(status, 200);
      const blob = `/v2/${app}/blobs/${layer.descriptor.digest}`;
      assert.equal((await core.send('GET', blob)).status, 200);
      assert.deepEqual(kinds(await check()), []);
    };
    const { digest } = layer.descriptor;
    await storage.driver.remove(paths.blob(digest));
    await repairing(paths.layerLink(app, digest), () => pushBlob(core, app, layer));
    await storage.driver.remove(paths.revisionFolder(app, image.descriptor.digest));
    await repairing(paths.tagCurrent(app, latest), () => pushImage(core, app, image, latest));
  });

  test('a blob that is pushed while what was there is read stays in its place', async () => {
    const path = paths.blob(layer.descriptor.digest);
    await storage.driver.put(path, Buffer.alloc(layer.bytes.length));
    // The first read is to look, the second because it looked wrong, the third before it is moved.
    for (const [operation, time] of [
      ['read', 2],
      ['read', 3],
      ['move', 1],
    ] as const) {
      let seen = 0;
      const { findings } = await repairWhile(
        (step) => {
          if (step.path === path && step.operation === operation) seen += 1;
          return seen === time;
        },
        async () => {
          await sleep(5);
          await storage.driver.put(path, layer.bytes);
        },
      );
      assert.deepEqual(findings, [], `${operation} ${time}`);
      const { status } = await core.send('GET', `/v2/${app}/blobs/${layer.descriptor.digest}`);
      assert.equal(status, 200);
      await storage.driver.put(path, Buffer.alloc(layer.bytes.length));
    }
    assert.deepEqual(kinds(await check(true)), [
      'damaged-blob',
      'dangling-link',
      'missing-content',
    ]);
  });

  test('a blob that lies among the damaged and is right comes back, with what refers to it', async () => {
    const { digest } = layer.descriptor;
    for (const hash of [true, false]) {
      await storage.driver.move(paths.blob(digest), paths.damaged(digest));
      const { findings } = await check(true, hash);
      assert.deepEqual(
        findings.map(({ kind, repaired }) => [kind, repaired]),
        [['misplaced-blob', true]],
      );
      assert.deepEqual(kinds(await check()), []);
      assert.equal((await core.send('GET', `/v2/${app}/blobs/${digest}`)).status, 200);
    }
  });

  test('a damaged blob does not come back from the trash, where it is damaged as well', async () => {
    const { digest } = layer.descriptor;
    const item = { kind: 'blob', digest } as const;
    const place = paths.blob(digest);
    const trash = createTrash(storage.driver);
    await storage.driver.put(place, Buffer.from('damaged'));
    await trash.discard(createEpoch(new Date(1)), item);
    await storage.driver.put(place, Buffer.from('damaged'));
    const { findings } = await check(true);
    assert.ok(findings.some(({ kind, repaired }) => kind === 'damaged-blob' && repaired));
    assert.equal(await trash.holds(item), false);
    assert.equal((await core.send('GET', `/v2/${app}/blobs/${digest}`)).status, 404);

    await storage.driver.put(place, layer.bytes);
    await trash.discard(createEpoch(new Date(2)), item);
    await storage.driver.put(place, Buffer.from('damaged'));
    await check(true);
    assert.equal(await trash.holds(item), true, 'a copy that is right stays');
  });

  test('one repair is enough, where each thing was wrong because of another', async () => {
    await storage.driver.put(paths.blob(image.descriptor.digest), Buffer.from('damaged'));
    const { findings } = await check(true);
    const expected = ['damaged-blob', 'dangling-link', 'dangling-tag'];
    assert.deepEqual(findings.map(({ kind, repaired }) => repaired && kind).sort(), expected);
    assert.deepEqual(kinds(await check()), []);
  });

  test('what happens to a tag at the moment of its repair stands', async () => {
    const other = makeImage();
    for (const blob of other.blobs) await pushBlob(core, app, blob);
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
    const spoilings = [
      () => storage.driver.remove(paths.revisionFolder(app, image.descriptor.digest)),
      () => write(paths.tagCurrent(app, latest), ''),
    ];
    for (const [happen, expected] of happenings) {
      for (const spoil of spoilings) {
        await core.send('DELETE', `/v2/${app}/manifests/${latest}`);
        await pushImage(core, app, image, latest);
        await spoil();
        await repairWhile(
          ({ path, operation }) =>
            path === paths.tagCurrent(app, latest) && ['remove', 'put'].includes(operation),
          happen,
        );
        const { status } = await core.send('GET', `/v2/${app}/manifests/${latest}`);
        assert.equal(status, expected);
      }
    }
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
      hash: true,
      uploadsBefore: new Date(Date.now() - 3_600_000),
    });
    assert.deepEqual(findings, []);
    assert.ok(pushes > 3);
  });
});
