import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextPageLink, parsePage } from './pagination.ts';

const page = (query: string) => parsePage(new URLSearchParams(query), 100);

test('without n a page is the largest one', () => {
  assert.deepEqual(page(''), { limit: 100, last: '' });
  assert.deepEqual(page('last=a/b'), { limit: 100, last: 'a/b' });
});

test('n is taken up to the largest page; 0 is a page of nothing', () => {
  assert.equal(page('n=7').limit, 7);
  assert.equal(page('n=0').limit, 0);
  assert.equal(page('n=1000').limit, 100);
});

test('what is no whole number from 0 on is PAGINATION_NUMBER_INVALID', () => {
  for (const n of ['-1', 'abc', '1.5', '1e3', '0x10', ' 1', '9'.repeat(40)]) {
    assert.throws(
      () => page(`n=${encodeURIComponent(n)}`),
      { code: 'PAGINATION_NUMBER_INVALID' },
      n,
    );
  }
});

test('a last that is longer than any name is refused', () => {
  const query = (length: number) => new URLSearchParams({ last: 'a'.repeat(length) });
  assert.equal(parsePage(query(512), 10).last.length, 512);
  assert.throws(() => parsePage(query(513), 10), { code: 'REQUEST_INVALID' });
});

test('the link to the next page is relative and escaped', () => {
  assert.equal(
    nextPageLink('/v2/_catalog', { limit: 2, last: '' }, 'a/b&c'),
    '</v2/_catalog?n=2&last=a%2Fb%26c>; rel="next"',
  );
});
