import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { covers, formatScope, parseScopes } from './scope.ts';

test('scopes are read one by one, and several between spaces', () => {
  const team = { type: 'repository', name: 'team/app', actions: ['pull', 'push'] };
  const base = { type: 'repository', name: 'base', actions: ['pull'] };
  assert.deepEqual(parseScopes(['repository:team/app:pull,push', 'repository:base:pull']), [
    team,
    base,
  ]);
  assert.deepEqual(parseScopes(['repository:team/app:pull,push repository:base:pull']), [
    team,
    base,
  ]);
});

test('a name may hold a port', () => {
  const [access] = parseScopes(['repository:localhost:5000/a:pull']);
  assert.deepEqual(access, { type: 'repository', name: 'localhost:5000/a', actions: ['pull'] });
});

test('the class of old plug-ins is read over', () => {
  assert.deepEqual(parseScopes(['repository(plugin):a:pull'])[0]?.type, 'repository');
});

test('repeated scopes are merged', () => {
  assert.deepEqual(parseScopes(['repository:a:pull', 'repository:a:push,pull']), [
    { type: 'repository', name: 'a', actions: ['pull', 'push'] },
  ]);
});

test('what cannot be read is dropped', () => {
  assert.deepEqual(
    parseScopes(['', 'x', 'repository:a', 'REPOSITORY:a:pull', 'repository::pull']),
    [],
  );
  assert.deepEqual(parseScopes(['repository:a:']), [
    { type: 'repository', name: 'a', actions: [] },
  ]);
});

test('what is written can be read back', () => {
  const word = fc.stringMatching(/^[a-z]{1,8}$/);
  const access = fc.record({
    type: word,
    name: fc.stringMatching(/^[a-z0-9]{1,5}(\/[a-z0-9]{1,5}){0,2}$/),
    actions: fc.uniqueArray(word, { minLength: 1, maxLength: 3 }),
  });
  fc.assert(
    fc.property(access, (one) => assert.deepEqual(parseScopes([formatScope(one)]), [{ ...one }])),
  );
});

test('a grant covers what it holds, `*` covers all, and nothing crosses names or types', () => {
  const wanted = { type: 'repository', name: 'a', actions: ['pull', 'push'] };
  const grant = (type: string, name: string, ...actions: string[]) => [{ type, name, actions }];
  assert.equal(covers(grant('repository', 'a', 'push', 'pull', 'x'), wanted), true);
  assert.equal(covers(grant('repository', 'a', '*'), wanted), true);
  assert.equal(covers(grant('repository', 'a', 'pull'), wanted), false);
  assert.equal(covers(grant('repository', 'b', '*'), wanted), false);
  assert.equal(covers(grant('registry', 'a', '*'), wanted), false);
  assert.equal(covers([], wanted), false);
});
