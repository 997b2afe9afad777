import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { routes } from '#libs/api/routes.ts';
import { createOwner, type Owner } from '../../services/core/ownership/owner.ts';
import type { StorageDriver } from '../../services/core/storage/driver.ts';
import { guardWrites } from '../../services/core/storage/guarded.ts';
import { createMemoryDriver } from '../../services/core/storage/memory.ts';
import { type Core, pushBlob, pushImage, startCore } from '../support/core.ts';
import { makeImage, makeLayer } from '../support/images.ts';
import { createRecordingLog } from '../support/recording-log.ts';

describe('two cores on one tree', () => {
  let time: number;
  let first: Owner & { core: Core };
  let second: Owner & { core: Core };
  let driver: StorageDriver;

  beforeEach(async () => {
    time = 0;
    driver = createMemoryDriver();
    first = await start();
    second = await start();
  });

  afterEach(async () => {
    await first.core.close();
    await second.core.close();
  });

  async function start() {
    const { log } = createRecordingLog();
    const owner = createOwner({
      driver,
      log,
      probeLiveness: async () => 'unknown',
      now: () => time,
    });
    const guarded = guardWrites(driver, { before: owner.assertOwned, failed() {} });
    const core = await startCore({ driver: guarded, ownership: owner });
    await owner.step();
    return { ...owner, core };
  }

  test('both serve reads, and one takes writes', async () => {
    const image = makeImage();
    assert.equal((await pushImage(first.core, 'team/app', image, 'v1')).status, 201);
    for (const { core } of [first, second]) {
      assert.equal((await core.send('GET', '/v2/team/app/manifests/v1')).status, 200);
      for (const { descriptor } of image.blobs) {
        const { status } = await core.send('GET', `/v2/team/app/blobs/${descriptor.digest}`);
        assert.equal(status, 200);
      }
    }
    const { digest } = image.descriptor;
    for (const { method, path } of routes) {
      if (method === 'GET' && !path.includes('<session>')) continue;
      const filled = path
        .replace('<name>', 'team/app')
        .replace('<reference>', 'v1')
        .replace('<digest>', digest)
        .replace('<session>', '0d3e1f7c-7c0e-4bb0-9a2a-3d5f7f1f6a01');
      const { status, codes, headers, text } = await second.core.send(method, filled);
      assert.deepEqual([status, codes], [503, ['UNAVAILABLE']], `${method} ${path}`);
      assert.match(headers['retry-after'] ?? '', /^[1-9]\d*$/);
      assert.match(text, /takes no writes until it is certain/);
    }
    assert.equal((await second.core.send('GET', '/v2/team/app/manifests/v1')).status, 200);
  });

  test('the next takes writes as soon as the first has given the tree back', async () => {
    await first.release();
    await second.step();
    assert.equal((await pushBlob(second.core, 'team/app', makeLayer())).status, 201);
    assert.equal((await pushBlob(first.core, 'team/app', makeLayer())).status, 503);
  });

  test('one that was held up changes nothing any more, whatever was on its way', async () => {
    const { headers } = await first.core.send('POST', '/v2/team/app/blobs/uploads/');
    const location = String(headers.location);
    const { bytes, descriptor } = makeLayer();
    await second.step();
    time += 15_000;
    await second.step();
    await second.assertOwned();
    assert.equal((await first.core.send('PATCH', location, { body: bytes })).status, 503);
    const end = `${location}?digest=${descriptor.digest}`;
    assert.equal((await first.core.send('PUT', end, { body: bytes })).status, 503);
    assert.equal((await second.core.send('PUT', end, { body: bytes })).status, 201);
  });

  test('an upload goes on at the second where the first left it', async () => {
    const { headers } = await first.core.send('POST', '/v2/team/app/blobs/uploads/');
    const location = String(headers.location);
    const { bytes, descriptor } = makeLayer();
    const half = Math.floor(bytes.length / 2);
    assert.equal((await second.core.send('GET', location)).status, 503);
    await first.core.send('PATCH', location, { body: bytes.subarray(0, half) });
    assert.equal((await second.core.send('GET', location)).status, 503);
    await first.release();
    await second.step();
    const status = await second.core.send('GET', location);
    assert.deepEqual([status.status, status.headers.range], [204, `0-${half - 1}`]);
    const end = `${status.headers.location}&digest=${descriptor.digest}`;
    const done = await second.core.send('PUT', end, { body: bytes.subarray(half) });
    assert.equal(done.status, 201);
  });
});
