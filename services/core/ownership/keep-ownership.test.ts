import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFailingDriver } from '../../../test/support/failing-driver.ts';
import { createRecordingLog } from '../../../test/support/recording-log.ts';
import { waitFor } from '../../../test/support/wait-for.ts';
import { paths } from '../registry/paths.ts';
import { createMemoryDriver } from '../storage/memory.ts';
import { keepOwnership } from './keep-ownership.ts';
import { createOwner } from './owner.ts';

const pace = { beat: 2, look: 1 };

function start() {
  const driver = createFailingDriver(createMemoryDriver());
  const { log, messages } = createRecordingLog();
  const probeLiveness = async () => 'unknown' as const;
  const create = (waitFor = 60_000) => {
    const times = { stillFor: 60_000, waitFor, goodFor: 10_000 };
    return keepOwnership(createOwner({ driver, log, probeLiveness, times }), log, pace);
  };
  return { driver, messages, create };
}

test('a storage that fails is asked again, and said to fail once', async () => {
  const { driver, messages, create } = start();
  driver.failOn('failed', (operation) => operation === 'list');
  const ownership = create();
  await ownership.looked;
  assert.match(ownership.reason() ?? '', /failed/);
  await assert.rejects(ownership.assertOwned(), { name: 'StorageError', code: 'failed' });
  driver.recover();
  await ownership.owned;
  await ownership.assertOwned();
  assert.equal(ownership.reason(), undefined);
  assert.deepEqual(messages(), [
    'warn: the owner of the storage cannot be determined',
    'info: the storage can be claimed again',
  ]);
  await ownership.release();
});

test('the next one has the tree when the first gives it back, and who waits in vain ends', async () => {
  const { driver, create } = start();
  const first = create();
  await first.owned;
  const impatient = create(20);
  assert.match((await impatient.ended).message, /redis:/);
  const second = create();
  await second.looked;
  await first.release();
  await second.owned;
  await impatient.release();
  await second.release();
  assert.deepEqual(await driver.list(paths.claims), ['2.released']);
});

test('an owner shows that it lives until it gives the tree back', async () => {
  const { driver, create } = start();
  const ownership = create();
  await ownership.owned;
  const counter = async () =>
    JSON.parse(String(await driver.read(paths.owner).then((file) => file.toArray()))).counter;
  const before = Number(await counter());
  await waitFor('beats', async () => Number(await counter()) > before + 2);
  await ownership.release();
  await assert.rejects(driver.stat(paths.owner), { code: 'not-found' });
});
