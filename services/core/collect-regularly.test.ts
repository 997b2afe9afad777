import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import { createMetrics } from '#libs/metrics/metrics.ts';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { createCountingDriver } from '../../test/support/counting-driver.ts';
import { parseExposition } from '../../test/support/exposition.ts';
import { createFailingDriver } from '../../test/support/failing-driver.ts';
import { makeLayer } from '../../test/support/images.ts';
import { openRegistry } from '../../test/support/open-registry.ts';
import { createRecordingLog } from '../../test/support/recording-log.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { collectRegularly } from './collect-regularly.ts';
import { createLeaderLease } from './leader-lease.ts';
import { measureCollections } from './measure-collections.ts';
import { paths } from './registry/paths.ts';
import { createEmbeddedLocks } from './sessions/embedded-locks.ts';
import { createMemoryDriver } from './storage/memory.ts';

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
  regularly.close();
  assert.ok(scraped.sum('portcullis_garbage_collections_total', { outcome: 'failed' }) > 0);
  assert.equal(scraped.value('portcullis_garbage_collected_total', { kind: 'blobs' }), 1);
  assert.equal(scraped.value('portcullis_garbage_collected_bytes_total'), bytes.length);
  const when = scraped.value('portcullis_garbage_last_collection_timestamp_seconds') ?? 0;
  assert.ok(Math.abs(when - Date.now() / 1000) < 60);
  assert.ok(messages().some((line) => line.includes('garbage collected')));
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
    regularly.close();
    return driver.operations().length;
  };
  assert.ok((await looks(1000)) > 0);
  assert.equal(await looks(undefined), 0);
});
