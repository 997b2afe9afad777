import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createCursors } from './cursor.ts';

const secret = 'a secret of sixteen characters';

test('a place is read by whoever has the secret, and by nobody else', () => {
  const sealed = createCursors(secret).seal('team/app');
  assert.equal(createCursors(secret).open(sealed), 'team/app');
  assert.equal(createCursors('another one').open(sealed), undefined);
  assert.equal(createCursors(undefined).open(sealed), undefined);
  const alone = createCursors(undefined);
  assert.equal(alone.open(alone.seal('team/app')), 'team/app');
});

test('a sealed place tells nothing: not by its text, not by its length, not by being the same twice', () => {
  const { seal } = createCursors(secret);
  const places = ['a', 'team/app', 'x'.repeat(255)].map(seal);
  assert.equal(new Set(places.map(({ length }) => length)).size, 1);
  assert.doesNotMatch(Buffer.from(places[1] ?? '', 'base64url').toString('latin1'), /team|app/);
  assert.notEqual(seal('a'), seal('a'));
});

test('whatever else comes is no place', () => {
  const { seal, open } = createCursors(secret);
  const sealed = seal('a');
  for (const text of ['', 'x', 'A'.repeat(500), sealed.slice(1), `${sealed.slice(0, -2)}AA`, '%']) {
    assert.equal(open(text), undefined);
  }
});
