import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseScopes } from '#libs/auth/scope.ts';
import { grantAccess } from './grant.ts';
import { createAclPolicy, everyUserPolicy } from './policy/acl.ts';
import { callerOf } from './policy/caller.ts';

const teams = createAclPolicy(
  [
    { match: { account: 'root' }, actions: ['*'] },
    { match: { account: '/.+/', name: 'team/**' }, actions: ['pull'] },
  ],
  {},
);
const grant = (account: string, ...scopes: string[]) =>
  grantAccess(teams, callerOf(account), parseScopes(scopes)).access;

test('asking for too much gives the intersection', () => {
  assert.deepEqual(grant('bob', 'repository:team/app:pull,push', 'repository:other:pull'), [
    { type: 'repository', name: 'team/app', actions: ['pull'] },
  ]);
});

test('unknown types, unknown actions and invalid names are dropped, never an error', () => {
  assert.deepEqual(
    grant('root', 'plugin:a:pull', 'repository:a:fly', 'repository:A:pull', 'registry:x:*'),
    [],
  );
});

test('`*` is granted only to whom a rule gives everything', () => {
  assert.deepEqual(grant('root', 'repository:a:*'), [
    { type: 'repository', name: 'a', actions: ['*'] },
  ]);
  assert.deepEqual(grant('bob', 'repository:team/app:*'), []);
});

test('the whole catalog is for whom a rule says so; who is logged in lists what it may pull', () => {
  const catalog = (action: string) => [{ type: 'registry', name: 'catalog', actions: [action] }];
  assert.deepEqual(grant('root', 'registry:catalog:*'), catalog('*'));
  assert.deepEqual(grant('bob', 'registry:catalog:*'), catalog('pull'));
  assert.deepEqual(grant('', 'registry:catalog:*'), []);
  assert.deepEqual(
    grantAccess(everyUserPolicy, callerOf('bob'), parseScopes(['registry:catalog:*'])).access,
    catalog('*'),
  );
});

test('what is not granted names who decided', () => {
  const scopes = parseScopes(['repository:team/app:pull,push', 'repository:other:pull']);
  const { denied, rules } = grantAccess(teams, callerOf('bob'), scopes);
  assert.deepEqual(rules, [1]);
  assert.deepEqual(denied, [
    { type: 'repository', name: 'team/app', action: 'push', by: 1 },
    { type: 'repository', name: 'other', action: 'pull', by: 'no rule' },
  ]);
});
