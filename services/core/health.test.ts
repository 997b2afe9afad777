import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { createFailingDriver } from '../../test/support/failing-driver.ts';
import { createRecordingLog } from '../../test/support/recording-log.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { createHealth, type Health } from './health.ts';
import { paths } from './registry/paths.ts';
import { createMemoryDriver } from './storage/memory.ts';

const unavailable = { name: 'RegistryError', code: 'UNAVAILABLE' };

describe('health', () => {
  let health: Health;

  afterEach(() => health.close());

  function watch(threshold: number) {
    const driver = createFailingDriver(createMemoryDriver());
    const { log, messages } = createRecordingLog();
    health = createHealth({ driver, log, storage: { interval: 2, threshold } });
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
    assert.throws(() => health.assertHealthy(), { ...unavailable, retryAfter: 10 });
    driver.recover();
    await waitFor('an answer', isHealthy);
    assert.deepEqual(messages(), ['error: storage does not answer', 'info: storage answers again']);
  });

  test('that is failed on purpose stays bad and says why', async () => {
    const { log } = createRecordingLog();
    health = createHealth({ driver: createMemoryDriver(), log, storage: undefined });
    health.assertHealthy();
    health.fail('another core has taken over');
    assert.throws(() => health.assertHealthy(), {
      ...unavailable,
      message: 'another core has taken over',
    });
  });

  test('without a watch never asks the storage', () => {
    const driver = createFailingDriver(createMemoryDriver());
    driver.failOn('failed', () => assert.fail('the storage was asked'));
    const { log } = createRecordingLog();
    health = createHealth({ driver, log, storage: undefined });
    health.assertHealthy();
  });
});
