import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { createFailingDriver } from '../../test/support/failing-driver.ts';
import { makeLayer } from '../../test/support/images.ts';
import { openRegistry } from '../../test/support/open-registry.ts';
import { createRecordingLog } from '../../test/support/recording-log.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { collectRegularly } from './collect-regularly.ts';
import { createDuty } from './duty.ts';
import { paths } from './registry/paths.ts';
import { createEmbeddedLocks } from './sessions/embedded-locks.ts';
import { createMemoryDriver } from './storage/memory.ts';

const app = parseRepositoryName('app');
const duty = () => createDuty(createEmbeddedLocks(), 'upkeep');
const options = { delay: 0, grace: 3_600_000, untagged: false };

test('garbage is collected every interval, and a failure is no end of it', async () => {
  const driver = createFailingDriver(createMemoryDriver());
  const { log, messages } = createRecordingLog();
  const { bytes, descriptor } = makeLayer();
  await driver.put(paths.blob(descriptor.digest), bytes);
  await openRegistry(driver).blobs.link(app, descriptor.digest);
  driver.failOn('failed', (operation) => operation === 'list');
  const regularly = collectRegularly(driver, { ...options, interval: 20 }, duty(), log);
  await waitFor('a warning', () => messages().some((line) => line.startsWith('warn:')));
  driver.recover();
  await waitFor('the collection', async () => (await driver.list(paths.trash)).length > 0);
  regularly.close();
  assert.ok(messages().some((line) => line.includes('garbage collected')));
});

test('without an interval nothing is collected', () => {
  const { log } = createRecordingLog();
  collectRegularly(createMemoryDriver(), { ...options, interval: undefined }, duty(), log).close();
});
