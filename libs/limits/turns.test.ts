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
  while (turns.size > 0) order.push(turns.next());
  assert.deepEqual(order, ['a1', 'c1', 'b1', 'c2', 'a2', 'a3']);
  assert.equal(turns.next(), undefined);
});

test('one that leaves is forgotten, and so is a party of which nobody waits', () => {
  const turns = createTurns<string>();
  turns.add('a1', 'net', 'a');
  turns.add('b1', 'net', 'b');
  turns.add('b2', 'net', 'b');
  turns.add('c1', 'other', 'c');
  assert.equal(turns.remove('c1', 'other', 'c'), true);
  assert.equal(turns.remove('c1', 'other', 'c'), false);
  const [[party, { size, last }] = assert.fail(), ...others] = turns.parties();
  assert.deepEqual([party, size, last, others], ['net', 3, 'b2', []]);
  assert.equal(turns.remove('b1', 'net', 'b'), true);
  assert.deepEqual([turns.next(), turns.next(), turns.size], ['a1', 'b2', 0]);
});
