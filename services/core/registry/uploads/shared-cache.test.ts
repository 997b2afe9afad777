import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSharedCache } from './shared-cache.ts';

test('whoever remembers most forgets first, and what was used longest ago', () => {
  const cache = createSharedCache<string, number>(4);
  cache.set('victim', 'alice', 0);
  for (let n = 1; n <= 100; n += 1) cache.set(`m${n}`, 'mallory', n);
  assert.equal(cache.get('victim'), 0);
  assert.deepEqual(
    [97, 98, 99, 100].map((n) => cache.get(`m${n}`)),
    [undefined, 98, 99, 100],
  );
  cache.get('m98');
  cache.set('m101', 'mallory', 101);
  assert.equal(cache.get('m99'), undefined, 'used longest ago');
  assert.equal(cache.get('m98'), 98);
});

test('what is set again, by another party or with another value, is there once', () => {
  const cache = createSharedCache<string, number>(2);
  cache.set('a', 'alice', 1);
  cache.set('a', 'bob', 2);
  cache.set('b', 'bob', 3);
  assert.deepEqual([cache.get('a'), cache.get('b')], [2, 3]);
  cache.delete('a');
  cache.set('c', 'alice', 4);
  assert.deepEqual([cache.get('a'), cache.get('b'), cache.get('c')], [undefined, 3, 4]);
});
