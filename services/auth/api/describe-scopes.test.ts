import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeScopes } from './describe-scopes.ts';

const scope = (name: string) => ({ type: 'repository', name, actions: ['pull', 'push'] });

test('a few scopes are written as they are', () => {
  assert.equal(
    describeScopes([scope('a'), scope('b')]),
    'repository:a:pull,push repository:b:pull,push',
  );
  assert.equal(describeScopes([]), '');
});

test('however many and however long they are, it is a short text that says how many are left', () => {
  for (const names of [
    Array.from({ length: 100 }, (_, n) => `team/app-${n}`),
    Array.from({ length: 3 }, () => 'x'.repeat(10_000)),
  ]) {
    const text = describeScopes(names.map(scope));
    assert.ok(text.length < 550, `${text.length}`);
    const [, left] = /and (\d+) more$/.exec(text) ?? [];
    assert.equal(Number(left) + text.split('repository:').length - 1, names.length);
  }
});
