import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matchRoute } from './match-route.ts';
import { isAllowed, optionalAccess, requestedAccess } from './required-access.ts';

const digest = `sha256:${'a'.repeat(64)}`;
const on = (name: string, ...actions: string[]) => ({ type: 'repository', name, actions });
const catalog = (...actions: string[]) => ({ type: 'registry', name: 'catalog', actions });

test('any login is enough for the base, and nothing is asked for', () => {
  const base = matchRoute('GET', '/v2/');
  assert.deepEqual(requestedAccess(base), []);
  assert.equal(isAllowed(base, []), true);
});

test('pull is not enough to push, to delete, or for another repository', () => {
  const granted = [on('a', 'pull')];
  assert.equal(isAllowed(matchRoute('GET', '/v2/a/manifests/v1'), granted), true);
  assert.equal(isAllowed(matchRoute('PUT', '/v2/a/manifests/v1'), granted), false);
  assert.equal(isAllowed(matchRoute('DELETE', '/v2/a/manifests/v1'), granted), false);
  assert.equal(isAllowed(matchRoute('GET', '/v2/b/manifests/v1'), granted), false);
  assert.equal(isAllowed(matchRoute('GET', '/v2/_catalog'), granted), false);
});

test('what changes something is asked for with pull and push', () => {
  const start = matchRoute('POST', '/v2/a/blobs/uploads/');
  assert.deepEqual(requestedAccess(start), [on('a', 'pull', 'push')]);
});

test('the catalog is listed with all rights or with one’s own', () => {
  const list = matchRoute('GET', '/v2/_catalog');
  assert.equal(isAllowed(list, [catalog('*')]), true);
  assert.equal(isAllowed(list, [catalog('pull')]), true);
  assert.equal(isAllowed(list, []), false);
});

test('a mount can use the right to pull from its source', () => {
  const start = matchRoute('POST', '/v2/a/blobs/uploads/');
  const query = (text: string) => new URLSearchParams(text);
  assert.deepEqual(optionalAccess(start, query(`mount=${digest}&from=b`)), [on('b', 'pull')]);
  assert.deepEqual(optionalAccess(start, query('from=b')), []);
  assert.deepEqual(optionalAccess(start, query(`mount=${digest}&from=../b`)), []);
  assert.deepEqual(optionalAccess(matchRoute('GET', '/v2/a/tags/list'), query('from=b')), []);
});
