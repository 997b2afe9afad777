import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sortInTurn } from './sort-in-turn.ts';

test('texts are sorted as they are at once, however many', async () => {
  for (const count of [0, 1, 8192, 8193, 100_000]) {
    const texts = Array.from({ length: count }, () => Math.random().toString(36).slice(2));
    assert.deepEqual(await sortInTurn([...texts]), texts.sort());
  }
});

test('many leave the event loop to others meanwhile', async () => {
  let turns = 0;
  let isOver = false;
  const others = (async () => {
    while (!isOver) {
      await new Promise((resolve) => setImmediate(resolve));
      turns += 1;
    }
  })();
  await sortInTurn(Array.from({ length: 50_000 }, (_, index) => `${index}`));
  isOver = true;
  await others;
  assert.ok(turns > 10, `${turns}`);
});
