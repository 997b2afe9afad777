import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testAttemptCounter } from '../../../test/contract/attempt-counter.ts';
import { createMemoryCounter } from './memory-counter.ts';

const minute = 60_000;
const one = createMemoryCounter(minute);
testAttemptCounter('in memory', () => one);

test('the window slides: what is older counts less and less', async () => {
  let time = 0;
  const counter = createMemoryCounter(minute, () => time);
  const reserve = async () => {
    const result = await counter.reserve('', [{ key: 'a', most: 0 }]);
    assert.ok(result.ok);
    return result;
  };
  const count = async () => {
    const { before, giveBack } = await reserve();
    await giveBack();
    return before[0];
  };
  for (let n = 0; n < 10; n += 1) await (await reserve()).keep();
  assert.equal(await count(), 10);
  time = 1.5 * minute;
  assert.equal(await count(), 5);
  time = 3 * minute;
  assert.equal(await count(), 0);
});

test('what is given back in the next period is not counted there either', async () => {
  let time = minute - 1;
  const counter = createMemoryCounter(minute, () => time);
  const taken = await counter.reserve('', [{ key: 'a', most: 1 }]);
  assert.ok(taken.ok);
  time = minute;
  assert.equal((await counter.reserve('', [{ key: 'a', most: 1 }])).ok, false);
  await taken.giveBack();
  assert.equal((await counter.reserve('', [{ key: 'a', most: 1 }])).ok, true);
});
