import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { createMetrics } from '#libs/metrics/metrics.ts';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { createCountingDriver } from '../../../test/support/counting-driver.ts';
import { parseExposition } from '../../../test/support/exposition.ts';
import { createFailingDriver } from '../../../test/support/failing-driver.ts';
import { makeLayer } from '../../../test/support/images.ts';
import { openRegistry } from '../../../test/support/open-registry.ts';
import { createRecordingLog } from '../../../test/support/recording-log.ts';
import { createSteppingDriver } from '../../../test/support/stepping-driver.ts';
import { waitFor } from '../../../test/support/wait-for.ts';
import { paths } from '../registry/paths.ts';
import { createEmbeddedLocks } from '../sessions/embedded-locks.ts';
import type { StoragePath } from '../storage/driver.ts';
import { createMemoryDriver } from '../storage/memory.ts';
import { collectRegularly } from './collect-regularly.ts';
import { createLeaderLease } from './leader-lease.ts';
import { measureCollections } from './measure-collections.ts';

const app = parseRepositoryName('app');
const lease = () => createLeaderLease(createEmbeddedLocks(), 'upkeep');
const options = { delay: 0, grace: 3_600_000, untagged: false };

test('garbage is collected every interval, and a failure is no end of it', async () => {
  const driver = createFailingDriver(createMemoryDriver());
  const { log, messages } = createRecordingLog();
  const { bytes, descriptor } = makeLayer();
  await driver.put(paths.blob(descriptor.digest), bytes);
  await openRegistry(driver).blobs.link(app, descriptor.digest);
  driver.failOn('failed', (operation) => operation === 'list');
  const metrics = createMetrics({ process: 'core', version: 'test' });
  const measures = measureCollections(metrics);
  const regularly = collectRegularly(driver, { ...options, interval: 20 }, lease(), log, measures);
  await waitFor('a warning', () => messages().some((line) => line.startsWith('warn:')));
  driver.recover();
  await waitFor('the collection', async () => (await driver.list(paths.trash)).length > 0);
  const scraped = await waitFor('its measures', async () => {
    const now = parseExposition(await metrics.expose());
    return now.sum('portcullis_garbage_collections_total', { outcome: 'done' }) > 0 && now;
  });
  await regularly.close();
  assert.ok(scraped.sum('portcullis_garbage_collections_total', { outcome: 'failed' }) > 0);
  assert.equal(scraped.value('portcullis_garbage_collected_total', { kind: 'blobs' }), 1);
  assert.equal(scraped.value('portcullis_garbage_collected_bytes_total'), bytes.length);
  const when = scraped.value('portcullis_garbage_last_collection_timestamp_seconds') ?? 0;
  assert.ok(Math.abs(when - Date.now() / 1000) < 60);
  assert.ok(messages().some((line) => line.includes('garbage collected')));
});

test('a stop ends a collection in the middle, which is no failure', async () => {
  const gate = Promise.withResolvers<void>();
  let asked = false;
  const memory = createMemoryDriver();
  for (let index = 0; index < 20; index += 1) {
    const { bytes, descriptor } = makeLayer();
    await memory.put(paths.blob(descriptor.digest), bytes);
  }
  const driver = createSteppingDriver(memory, async ({ operation }) => {
    if (operation !== 'move' || asked) return;
    asked = true;
    await gate.promise;
  });
  const { log, messages } = createRecordingLog();
  const failures: unknown[] = [];
  const measures = { ...measureCollections(undefined), failed: () => failures.push(1) };
  const at = { ...options, interval: 20 };
  const regularly = collectRegularly(driver, at, lease(), log, measures);
  await waitFor('the collection', () => asked);
  let closed = false;
  const closing = regularly.close().then(() => {
    closed = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(closed, false, 'it waits for the step that has begun');
  gate.resolve();
  await closing;
  assert.deepEqual([messages(), failures], [[], []]);
  const left = await memory.list('/docker/registry/v2/blobs/sha256' as StoragePath);
  assert.ok(left.length > 0, 'the rest is left for the next');
});

test('without an interval nothing is collected', async () => {
  const { log } = createRecordingLog();
  const measures = measureCollections(undefined);
  const looks = async (interval: number | undefined) => {
    const driver = createCountingDriver(createMemoryDriver());
    mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
    const settings = { ...options, interval };
    const regularly = collectRegularly(driver, settings, lease(), log, measures);
    mock.timers.tick(1000);
    mock.timers.reset();
    await new Promise((resolve) => setTimeout(resolve, 20));
    await regularly.close();
    return driver.operations().length;
  };
  assert.ok((await looks(1000)) > 0);
  assert.equal(await looks(undefined), 0);
});
