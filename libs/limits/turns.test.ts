import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createTurns } from './turns.ts';

test('each party has its turn after all others, and each of those in it', () => {
  const turns = createTurns<string>();
  for (const waiter of ['a1', 'a2', 'a3']) turns.add(waiter, 'net', 'a');
  turns.add('b1', 'net', 'b');
  turns.add('c1', 'other', 'c');
  turns.add('c2', 'other', 'c');
  const order: (string | undefined)[] = [];
  while (!turns.isEmpty) order.push(turns.next());
  assert.deepEqual(order, ['a1', 'c1', 'b1', 'c2', 'a2', 'a3']);
  assert.equal(turns.next(), undefined);
});
