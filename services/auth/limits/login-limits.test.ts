import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RegistryError } from '#libs/oci/errors.ts';
import { createRecordingLog } from '../../../test/support/recording-log.ts';
import { createMemoryCounter } from './failure-counter.ts';
import { createLoginLimits } from './login-limits.ts';

const minute = 60_000;

function limits(now: () => number) {
  const settings = { window: minute, perAddress: 0, perAccount: 0, perLogin: 3 };
  const { log } = createRecordingLog();
  return createLoginLimits(settings, createMemoryCounter(minute, now), log, now);
}

test('the window slides: what is older counts less and less', async () => {
  let time = 0;
  const counter = createMemoryCounter(minute, () => time);
  for (let n = 0; n < 10; n += 1) await counter.add('a');
  assert.equal(await counter.count('a'), 10);
  time = 1.5 * minute;
  assert.equal(await counter.count('a'), 5);
  time = 3 * minute;
  assert.equal(await counter.count('a'), 0);
});

test('right passwords are never counted, however many come at once', async () => {
  const one = limits(() => 0);
  for (let round = 0; round < 3; round += 1) {
    const admitted = await Promise.all(
      Array.from({ length: 50 }, () => one.admit('bob', '10.0.0.1')),
    );
    for (const cameOut of admitted) await cameOut(true);
  }
});

test('who is refused is told when to come back', async () => {
  let time = 10_000;
  const one = limits(() => time);
  for (let n = 0; n < 3; n += 1) await (await one.admit('bob', '10.0.0.1'))(false);
  await assert.rejects(one.admit('bob', '10.0.0.1'), (error) => {
    assert.ok(error instanceof RegistryError);
    assert.deepEqual([error.code, error.retryAfter], ['TOOMANYREQUESTS', 50]);
    return true;
  });
  await one.admit('bob', '10.0.0.2');
  await one.admit('eve', '10.0.0.1');
  time += 2 * minute;
  await one.admit('bob', '10.0.0.1');
});
