import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextLoopTurn } from './next-loop-turn.ts';

test('of many who come at once each has a turn of the event loop for itself', async () => {
  let turn = 0;
  let over = false;
  const count = () => {
    turn += 1;
    if (!over) setImmediate(count);
  };
  setImmediate(count);
  const turns = await Promise.all(
    Array.from({ length: 20 }, () => nextLoopTurn().then(() => turn)),
  );
  over = true;
  assert.equal(new Set(turns).size, turns.length);
});
