import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { createFailingDriver } from '../../../test/support/failing-driver.ts';
import { createRecordingLog } from '../../../test/support/recording-log.ts';
import { waitFor } from '../../../test/support/wait-for.ts';
import { paths } from '../registry/paths.ts';
import { createMemoryDriver } from '../storage/memory.ts';
import { configuredChecks } from './checks.ts';
import { createHealth, type Health } from './health.ts';

const unavailable = { name: 'RegistryError', code: 'UNAVAILABLE' };
const nothing = { storage: undefined, files: [], http: [], tcp: [] };

describe('health', () => {
  let health: Health;

  afterEach(() => health.close());

  function watch(threshold: number) {
    const driver = createFailingDriver(createMemoryDriver());
    const { log, messages } = createRecordingLog();
    const storage = { interval: 2, threshold };
    health = createHealth({ checks: configuredChecks({ ...nothing, storage }, driver), log });
    return { driver, messages };
  }

  const isHealthy = () => {
    try {
      health.assertHealthy();
      return true;
    } catch {
      return false;
    }
  };

  test('is good while storage answers, even if it is empty', async () => {
    const { driver } = watch(1);
    let asked = 0;
    driver.failOn('failed', () => {
      asked += 1;
      return false;
    });
    await waitFor('some checks', () => asked > 3);
    health.assertHealthy();
    await driver.put(paths.owner, Buffer.from('x'));
    health.assertHealthy();
    assert.deepEqual(health.failing(), {});
    assert.equal(health.reason(), undefined);
  });

  test('turns bad after as many failures in a row as configured, and good with one answer', async () => {
    const { driver, messages } = watch(3);
    const before: boolean[] = [];
    driver.failOn('failed', (operation) => {
      if (operation !== 'stat') return false;
      before.push(isHealthy());
      // Two failures, an answer, and failures from then on.
      return before.length !== 3;
    });
    await waitFor('the third failure in a row', () => !isHealthy());
    assert.deepEqual(before.slice(0, 6), [true, true, true, true, true, true]);
    const message = 'the storage does not answer';
    assert.throws(() => health.assertHealthy(), { ...unavailable, message, retryAfter: 10 });
    assert.deepEqual(Object.keys(health.failing()), ['storagedriver_inmemory']);
    assert.equal(health.reason(), 'failing checks: storagedriver_inmemory');
    driver.recover();
    await waitFor('an answer', isHealthy);
    assert.deepEqual(health.failing(), {});
    assert.deepEqual(messages(), [
      'error: health check failed',
      'info: health check is good again',
    ]);
  });

  test('a storage that hangs counts as failed, and is not asked again meanwhile', async () => {
    const driver = createFailingDriver(createMemoryDriver());
    const { log, messages } = createRecordingLog();
    const { promise: hanging, resolve: answer } = Promise.withResolvers<void>();
    let asked = 0;
    const check = async () => {
      asked += 1;
      if (asked === 1) await hanging;
    };
    const storage = { interval: 2, threshold: 3 };
    const [usual] = configuredChecks({ ...nothing, storage }, driver);
    assert.ok(usual !== undefined);
    health = createHealth({ checks: [{ ...usual, check }], log });
    await waitFor('a failure', () => !isHealthy());
    assert.equal(asked, 1);
    assert.deepEqual(health.failing(), { storagedriver_inmemory: 'the check does not end' });
    answer();
    await waitFor('an answer', isHealthy);
    assert.equal(messages().length, 2);
  });

  test('without a watch never asks the storage', () => {
    const driver = createFailingDriver(createMemoryDriver());
    driver.failOn('failed', () => assert.fail('the storage was asked'));
    const { log } = createRecordingLog();
    health = createHealth({ checks: configuredChecks(nothing, driver), log });
    health.assertHealthy();
  });
});
