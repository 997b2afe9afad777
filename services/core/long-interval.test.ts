import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import { setLongInterval } from './long-interval.ts';

const day = 24 * 3_600_000;
/** Of a timer of Node, in milliseconds. */
const longest = 2 ** 31 - 1;

beforeEach(() => mock.timers.enable({ apis: ['setTimeout', 'setInterval'] }));
afterEach(() => mock.timers.reset());

test('a month is a month, though no timer of Node is that long', () => {
  let calls = 0;
  const interval = setLongInterval(() => {
    calls += 1;
  }, 30 * day);
  for (let month = 0; month < 3; month += 1) {
    mock.timers.tick(longest);
    mock.timers.tick(30 * day - longest - 1);
    assert.equal(calls, month);
    mock.timers.tick(1);
    assert.equal(calls, month + 1);
  }
  interval.close();
  for (let at = 0; at < 60; at += 1) mock.timers.tick(day);
  assert.equal(calls, 3);
});

test('a short one is what it says', () => {
  let calls = 0;
  const interval = setLongInterval(() => {
    calls += 1;
  }, 1000);
  for (let at = 0; at < 10; at += 1) mock.timers.tick(1000);
  assert.equal(calls, 10);
  interval.close();
});

test('one that is closed by what it calls is over', () => {
  let calls = 0;
  const interval = setLongInterval(() => {
    calls += 1;
    interval.close();
  }, 1000);
  for (let at = 0; at < 10; at += 1) mock.timers.tick(1000);
  assert.equal(calls, 1);
});
