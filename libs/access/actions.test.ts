import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actions, describeInvalidAction } from './actions.ts';

test('an action that is none is told, with the one that was perhaps meant', () => {
  for (const action of actions) assert.equal(describeInvalidAction(action), undefined);
  const expected: readonly [text: string, why: string][] = [
    ['pul', '"pul" is not an action; did you mean pull?'],
    ['Push', '"Push" is not an action; did you mean push?'],
    ['delte', '"delte" is not an action; did you mean delete?'],
    ['remove', '"remove" is not an action; they are pull, push, delete, *'],
    ['', '"" is not an action; they are pull, push, delete, *'],
    [
      'p'.repeat(10_000),
      `"${'p'.repeat(10_000)}" is not an action; they are pull, push, delete, *`,
    ],
  ];
  for (const [text, why] of expected) assert.equal(describeInvalidAction(text), why);
});
