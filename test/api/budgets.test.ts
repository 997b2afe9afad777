import assert from 'node:assert/strict';
import { request } from 'node:http';
import { afterEach, before, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { partiesOf } from '#libs/limits/parties.ts';
import { digestOf } from '#libs/oci/digest.ts';
import type { ReadOptions, StorageDriver } from '../../services/core/storage/driver.ts';
import { createMemoryDriver } from '../../services/core/storage/memory.ts';
import { type Core, type CoreSetup, pushBlob, pushManifest, startCore } from '../support/core.ts';
import { type CountingDriver, createCountingDriver } from '../support/counting-driver.ts';
import { createGatedDriver } from '../support/gated-driver.ts';
import { describeJson, type Fixture, makeImage, makeLayer, mediaTypes } from '../support/images.ts';
import { createSmallBudget } from '../support/small-budget.ts';
import { createTokenServer, may, type TokenServer } from '../support/tokens.ts';
import { waitFor } from '../support/wait-for.ts';

const app = 'team/app';
const KiB = 1024;
const MiB = 1024 * KiB;

/** An image with these layers, each as often as it is named. */
function imageOf(config: Fixture, layers: readonly object[]): Fixture {
  const mediaType = mediaTypes.ociManifest;
  return describeJson(mediaType, {
    schemaVersion: 2,
    mediaType,
    config: config.descriptor,
    layers,
  });
}

describe('a budget for everybody', () => {
  let tokens: TokenServer;
  let driver: CountingDriver;
  let core: Core;

  before(async () => {
    tokens = await createTokenServer();
  });

  beforeEach(() => {
    driver = createCountingDriver(createMemoryDriver());
  });

  afterEach(async () => {
    await core.close();
  });

  const start = async (setup: Partial<CoreSetup> = {}) => {
    core = await startCore({ driver, ...setup });
  };
  /** Pushes something large about a manifest. @returns the manifest's digest */
  const pushLargeReferrer = async () => {
    const config = makeLayer();
    await pushBlob(core, app, config);
    const subject = { ...makeLayer().descriptor, mediaType: mediaTypes.ociManifest };
    const about = describeJson(mediaTypes.ociManifest, {
      ...JSON.parse(String(imageOf(config, []).bytes)),
      subject,
      annotations: { note: 'x'.repeat(200 * KiB) },
    });
    assert.equal((await pushManifest(core, app, about, about.descriptor.digest)).status, 201);
    return subject.digest;
  };
  const absent = (count: number) =>
    Array.from({ length: count }, (_, index) => ({
      ...makeLayer(1).descriptor,
      digest: digestOf(Buffer.from(String(index))),
    }));

  describe('of manifests', () => {
    test('one with too many descriptors is refused with the number, and looked at no further', async () => {
      await start({ maxDescriptors: 200 });
      const config = makeLayer();
      const { status, codes, text } = await pushManifest(
        core,
        app,
        imageOf(config, absent(201)),
        'v1',
      );
      assert.deepEqual([status, ...codes], [400, 'MANIFEST_INVALID']);
      assert.match(text, /201 descriptors, at most 200/);
      assert.deepEqual(driver.operations(), []);
      const just = await pushManifest(core, app, imageOf(config, absent(200)), 'v1');
      assert.deepEqual(just.codes, ['MANIFEST_BLOB_UNKNOWN']);
    });

    test('lists of them that are large take of the memory for what is on its way to clients', async () => {
      const downloads = createSmallBudget({ capacity: 400 * KiB, maxWait: 0 });
      await start({ budgets: { downloads } });
      const subject = await pushLargeReferrer();
      const list = () => core.send('GET', `/v2/${app}/referrers/${subject}`);
      {
        using _others = downloads.tryTake(partiesOf('203.0.113.7'), 300 * KiB);
        assert.equal((await list()).status, 429);
      }
      assert.equal((await list()).status, 200);
      assert.equal(downloads.used, 0);
    });

    test('a list waits for its turn and for memory no longer than for one of them', async () => {
      const listings = createSmallBudget({ capacity: 1, maxWait: 400 });
      const downloads = createSmallBudget({ capacity: 400 * KiB, maxWait: 400 });
      await start({ budgets: { listings, downloads } });
      const [others, memory] = [partiesOf('203.0.113.7'), 300 * KiB];
      const subject = await pushLargeReferrer();
      const turn = listings.tryTake(others, 1);
      using _taken = downloads.tryTake(others, memory);
      const list = core.send('GET', `/v2/${app}/referrers/${subject}`);
      await waitFor('the list to wait', () => listings.waiting === 1);
      await sleep(200);
      turn?.[Symbol.dispose]();
      // Who begins to wait now is not refused before.
      let isRefused = false;
      const later = downloads.take(others, memory).catch(() => {
        isRefused = true;
      });
      assert.equal((await list).status, 429);
      assert.equal(isRefused, false);
      await later;
    });

    test('one that is padded with values is refused before they are made', async () => {
      await start();
      const image = makeImage();
      const padded = { ...(JSON.parse(String(image.bytes)) as object), x: Array(250_000).fill({}) };
      const pushed = describeJson(mediaTypes.ociManifest, padded);
      const { status, codes, text } = await pushManifest(core, app, pushed, 'v1');
      assert.deepEqual([status, ...codes], [400, 'MANIFEST_INVALID']);
      assert.match(text, /more than 100000 values/);
      assert.deepEqual(driver.operations(), []);
    });

    test('10 000 descriptors are taken unless the configuration says otherwise', async () => {
      await start();
      const layer = makeLayer();
      await pushBlob(core, app, layer);
      const push = (count: number) =>
        pushManifest(
          core,
          app,
          imageOf(
            layer,
            Array.from({ length: count }, () => layer.descriptor),
          ),
          'v1',
        );
      assert.equal((await push(10_000)).status, 201);
      assert.match((await push(10_001)).text, /10001 descriptors, at most 10000/);
    });

    test('what is named often is looked for once', async () => {
      await start();
      const layer = makeLayer();
      await pushBlob(core, app, layer);
      const cost = async (count: number) => {
        const layers = Array.from({ length: count }, () => layer.descriptor);
        driver.reset();
        assert.equal((await pushManifest(core, app, imageOf(layer, layers), 'v1')).status, 201);
        return driver.operations().length;
      };
      await cost(1);
      assert.equal(await cost(2000), await cost(2));
    });

    test('what lacks much is looked for until a hundred are known to be missing', async () => {
      await start();
      const one = makeLayer();
      await pushManifest(core, app, imageOf(one, absent(10)), 'v1');
      driver.reset();
      await pushManifest(core, app, imageOf(one, absent(99)), 'v1');
      const hundred = driver.operations().length;
      driver.reset();
      const answer = await pushManifest(core, app, imageOf(one, absent(5000)), 'v1');
      assert.deepEqual([answer.status, ...answer.codes], [404, 'MANIFEST_BLOB_UNKNOWN']);
      const { missing } = JSON.parse(answer.text).errors[0].detail as { missing: string[] };
      assert.equal(missing.length, 100);
      assert.ok(driver.operations().length < hundred * 1.2);
    });

    test('few references are looked for at once, and none any more when the client has left', async () => {
      const gate = createGatedDriver(createMemoryDriver());
      await start({ driver: gate.driver });
      const layers: Fixture[] = Array.from({ length: 60 }, () => makeLayer());
      for (const layer of layers) await pushBlob(core, app, layer);
      gate.close();
      const image = imageOf(
        layers[0] as Fixture,
        layers.map(({ descriptor }) => descriptor),
      );
      const outgoing = request({
        host: '127.0.0.1',
        port: core.port,
        method: 'PUT',
        path: `/v2/${app}/manifests/v1`,
        headers: { 'Content-Type': mediaTypes.ociManifest, 'Content-Length': image.bytes.length },
      });
      outgoing.on('error', () => {});
      outgoing.end(image.bytes);
      await waitFor('the first looks', () => gate.waiting() > 0);
      const atOnce = gate.waiting();
      assert.ok(atOnce <= 8, `${atOnce} at once`);
      outgoing.destroy();
      await waitFor('the core to notice', () => core.left() > 0);
      const before = gate.passed();
      gate.open();
      await waitFor('the end of it', () => core.running() === 0);
      assert.ok(gate.passed() - before <= atOnce * 3, 'nothing new was begun');
      assert.equal((await core.send('HEAD', `/v2/${app}/manifests/v1`)).status, 404);
    });

    test('that are announced, and do not come, keep nothing from others', async () => {
      const manifests = createSmallBudget({ capacity: 8 * MiB, maxWait: 20 });
      await start({ budgets: { manifests } });
      const image = makeImage();
      for (const blob of image.blobs) await pushBlob(core, app, blob);
      const path = `/v2/${app}/manifests/v1`;
      const headers = { 'Content-Type': mediaTypes.ociManifest, 'Content-Length': 4 * MiB };
      const announced = Array.from({ length: 10 }, () => {
        const outgoing = request({
          host: '127.0.0.1',
          port: core.port,
          path,
          method: 'PUT',
          headers,
        });
        outgoing.on('error', () => {});
        outgoing.write('{');
        return outgoing;
      });
      try {
        await waitFor('all of them', () => core.running() === announced.length);
        assert.equal(manifests.refused, 0);
        assert.equal((await pushManifest(core, app, image, 'v1')).status, 201);
        assert.ok(manifests.used < MiB, `${manifests.used} bytes`);
        announced[0]?.write(Buffer.alloc(2 * MiB, ' '));
        await waitFor('what came to be counted', () => manifests.used > 2 * MiB);
      } finally {
        for (const outgoing of announced) outgoing.destroy();
      }
      await waitFor('all to be given back', () => manifests.used === 0);
    });

    test('that are too many wait, and are refused when they waited in vain; others have their share', async () => {
      const manifests = createSmallBudget({ capacity: 4 * MiB, maxWait: 20 });
      await start({ verifier: tokens.verifier, budgets: { manifests } });
      const bearer = (subject: string) =>
        tokens.bearer({ subject, access: [may(app, 'pull', 'push')] });
      const image = makeImage();
      for (const blob of image.blobs) await pushBlob(core, app, blob, await bearer('ann'));
      // Its client is another one than those of the test.
      using _held = manifests.tryTake(partiesOf('203.0.113.7', 'ann'), 3 * MiB);
      const refused = await pushManifest(core, app, image, 'v1', await bearer('ann'));
      assert.deepEqual([refused.status, ...refused.codes], [429, 'TOOMANYREQUESTS']);
      assert.equal(refused.headers['retry-after'], '5');
      const other = await pushManifest(core, app, image, 'v1', await bearer('bob'));
      assert.equal(other.status, 201);
      _held?.[Symbol.dispose]();
      assert.equal((await pushManifest(core, app, image, 'v1', await bearer('ann'))).status, 201);
      assert.equal(manifests.used, 0);
    });
  });

  test('of uploads: who began too many is told to come back', async () => {
    await start({ maxOpenUploads: 3 });
    let repository = 0;
    const begin = () => core.send('POST', `/v2/team/app${repository++}/blobs/uploads/`);
    for (let count = 0; count < 3; count += 1) assert.equal((await begin()).status, 202);
    const refused = await begin();
    assert.deepEqual([refused.status, ...refused.codes], [429, 'TOOMANYREQUESTS']);
    assert.equal(refused.headers['retry-after'], '60');
  });

  describe('of downloads', () => {
    /** Notes in what pieces it is asked to read. */
    function noting(): { driver: StorageDriver; pieces: number[] } {
      const pieces: number[] = [];
      const real = createMemoryDriver();
      const driver = new Proxy(real, {
        get(target, name) {
          if (name !== 'read') return Reflect.get(target, name) as unknown;
          return (...args: Parameters<StorageDriver['read']>) => {
            const { pieceSize } = (args[2] ?? {}) as ReadOptions;
            if (pieceSize !== undefined) pieces.push(pieceSize);
            return target.read(...args);
          };
        },
      });
      return { driver, pieces };
    }

    test('each takes less memory the more there are, and gives it back at its end', async () => {
      const { driver: noted, pieces } = noting();
      const downloads = createSmallBudget({ capacity: 16 * MiB });
      await start({ driver: noted, budgets: { downloads } });
      const layer = makeLayer(8 * MiB);
      await pushBlob(core, app, layer);
      const path = `/v2/${app}/blobs/${layer.descriptor.digest}`;
      assert.deepEqual((await core.send('GET', path)).body, layer.bytes);
      await waitFor('its end', () => downloads.used === 0);
      const readers = Array.from({ length: 80 }, () => {
        const outgoing = request({ host: '127.0.0.1', port: core.port, path });
        outgoing.on('error', () => {});
        outgoing.on('response', (incoming) => incoming.on('error', () => {}).pause());
        outgoing.end();
        return outgoing;
      });
      await waitFor('all of them', () => pieces.length === 81);
      assert.equal(pieces[0], 128 * KiB);
      assert.equal(pieces.at(-1), 16 * KiB);
      assert.ok(downloads.used < 9 * MiB, `${downloads.used / MiB} MiB`);
      for (const reader of readers) reader.destroy();
      await waitFor('the end of all', () => downloads.used === 0);
    });

    test('one that is refused says nothing of the blob that a cache would keep', async () => {
      const downloads = createSmallBudget({ capacity: 100 * KiB, maxWait: 0 });
      await start({ budgets: { downloads } });
      const layer = makeLayer(50 * KiB);
      await pushBlob(core, app, layer);
      const path = `/v2/${app}/blobs/${layer.descriptor.digest}`;
      const get = async (headers: Record<string, string> = {}) => {
        const answer = await core.send('GET', path, { headers });
        const said = ['etag', 'cache-control', 'docker-content-digest', 'accept-ranges'];
        return [answer.status, ...said.filter((name) => answer.headers[name] !== undefined)];
      };
      assert.deepEqual(await get({ Range: 'bytes=99999-' }), [416]);
      assert.deepEqual(await get({ 'If-Match': 'W/"other"' }), [400]);
      assert.deepEqual(await get({ 'If-Match': `"${digestOf(Buffer.from('other'))}"` }), [412]);
      using _others = downloads.tryTake(partiesOf('203.0.113.7'), 75 * KiB);
      assert.deepEqual(await get(), [429]);
    });

    test('a large manifest takes what it has until its answer is over, a small one nothing', async () => {
      const downloads = createSmallBudget({ capacity: 300 * KiB });
      await start({ budgets: { downloads } });
      const image = makeImage();
      for (const blob of image.blobs) await pushBlob(core, app, blob);
      const large = describeJson(mediaTypes.ociManifest, {
        ...(JSON.parse(String(image.bytes)) as object),
        annotations: { note: 'x'.repeat(200 * KiB) },
      });
      assert.equal((await pushManifest(core, app, large, 'large')).status, 201);
      assert.equal((await pushManifest(core, app, image, 'small')).status, 201);
      const get = async (tag: string) =>
        (await core.send('GET', `/v2/${app}/manifests/${tag}`)).status;
      using _most = downloads.tryTake(partiesOf('203.0.113.7'), 250 * KiB);
      assert.deepEqual([await get('large'), await get('small')], [429, 200]);
      _most?.[Symbol.dispose]();
      assert.equal(await get('large'), 200);
      await waitFor('its end', () => downloads.used === 0);
    });

    test('a small blob takes what it has, and nothing is taken for what sends no bytes', async () => {
      const downloads = createSmallBudget({ capacity: 100 * KiB });
      await start({ budgets: { downloads } });
      const layer = makeLayer(100);
      await pushBlob(core, app, layer);
      const path = `/v2/${app}/blobs/${layer.descriptor.digest}`;
      using _all = downloads.tryTake(partiesOf('203.0.113.7'), 100 * KiB);
      assert.equal((await core.send('HEAD', path)).status, 200);
      const { etag = '' } = (await core.send('HEAD', path)).headers;
      assert.equal(
        (await core.send('GET', path, { headers: { 'If-None-Match': etag } })).status,
        304,
      );
      assert.equal((await core.send('GET', path)).status, 429);
      _all?.[Symbol.dispose]();
      assert.equal((await core.send('GET', path)).status, 200);
    });

    test('a few bytes of a large blob take what these have', async () => {
      const downloads = createSmallBudget({ capacity: 100 * KiB });
      await start({ budgets: { downloads } });
      const layer = makeLayer(MiB);
      await pushBlob(core, app, layer);
      const path = `/v2/${app}/blobs/${layer.descriptor.digest}`;
      using _most = downloads.tryTake(partiesOf('203.0.113.7'), 100 * KiB - 10);
      const get = async (headers = {}) => (await core.send('GET', path, { headers })).status;
      assert.deepEqual([await get({ Range: 'bytes=1-10' }), await get()], [206, 429]);
    });
  });
});
