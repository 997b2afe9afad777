import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { createRecordingLog } from '../../../test/support/recording-log.ts';
import { watchCheck } from '../health/watch-check.ts';
import { collectRegularly } from './collect-regularly.ts';
import { purgeRegularly } from './purge-regularly.ts';

const day = 24 * 3_600_000;
const month = 30 * day;

beforeEach(() => mock.timers.enable({ apis: ['setTimeout', 'setInterval'] }));
afterEach(() => mock.timers.reset());

/** Counts how often somebody asks whether it is their lease, which nobody's is. */
function countingLease() {
  const lease = {
    asked: 0,
    async isLeader() {
      lease.asked += 1;
      return false;
    },
    release() {},
  };
  return lease;
}

test('what is done each month is done once a month', async () => {
  const { log } = createRecordingLog();
  const [purging, collecting] = [countingLease(), countingLease()];
  let looks = 0;
  const measures = { done() {}, failed() {} };
  const none = {} as never;
  const timers = [
    purgeRegularly(none, { age: day, interval: month, dryRun: false }, purging, log),
    collectRegularly(
      none,
      { interval: month, delay: 0, grace: 0, untagged: false },
      collecting,
      log,
      measures,
    ),
    watchCheck(
      {
        ...{ name: 'x', publicMessage: 'x', interval: month, threshold: 1, maxDuration: 0 },
        async check() {
          looks += 1;
        },
      },
      log,
    ),
  ];
  for (let at = 0; at < 59; at += 1) {
    mock.timers.tick(day);
    await Promise.resolve();
    await Promise.resolve();
  }
  for (const timer of timers) void timer.close();
  // Purging begins with a look at the start.
  assert.deepEqual([purging.asked, collecting.asked, looks], [2, 1, 1]);
});
