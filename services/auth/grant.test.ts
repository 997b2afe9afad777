import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseScopes } from '#libs/access/scope.ts';
import { createAclPolicy, everyUserPolicy } from '#libs/policy/acl.ts';
import { callerOf } from '#libs/policy/caller.ts';
import { grantAccess } from './grant.ts';

const teams = createAclPolicy(
  [
    { match: { account: 'root' }, actions: ['*'] },
    { match: { account: '/.+/', name: 'team/**' }, actions: ['pull'] },
  ],
  {},
);
const grant = async (account: string, ...scopes: string[]) =>
  (await grantAccess(teams, callerOf(account), parseScopes(scopes))).access;

test('asking for too much gives the intersection', async () => {
  assert.deepEqual(await grant('bob', 'repository:team/app:pull,push', 'repository:other:pull'), [
    { type: 'repository', name: 'team/app', actions: ['pull'] },
  ]);
});

test('unknown types, unknown actions and invalid names are dropped, never an error', async () => {
  assert.deepEqual(
    await grant('root', 'plugin:a:pull', 'repository:a:fly', 'repository:A:pull', 'registry:x:*'),
    [],
  );
});

test('`*` is granted only to whom a rule gives everything', async () => {
  assert.deepEqual(await grant('root', 'repository:a:*'), [
    { type: 'repository', name: 'a', actions: ['*'] },
  ]);
  assert.deepEqual(await grant('bob', 'repository:team/app:*'), []);
});

test('the whole catalog is for whom a rule says so; who is logged in lists what it may pull', async () => {
  const catalog = (action: string) => [{ type: 'registry', name: 'catalog', actions: [action] }];
  assert.deepEqual(await grant('root', 'registry:catalog:*'), catalog('*'));
  assert.deepEqual(await grant('bob', 'registry:catalog:*'), catalog('pull'));
  assert.deepEqual(await grant('', 'registry:catalog:*'), []);
  assert.deepEqual(
    (await grantAccess(everyUserPolicy, callerOf('bob'), parseScopes(['registry:catalog:*'])))
      .access,
    catalog('*'),
  );
});

test('the whole catalog is for nobody to whom a rule before it may refuse a name', async () => {
  const everything = { match: { account: 'eve' }, actions: ['*'] };
  const secret = { account: 'eve', name: 'secret/**' };
  const deny = { match: { name: 'secret/**' }, effect: 'deny', actions: ['pull'] } as const;
  const named = { match: { account: 'eve', type: 'registry' }, actions: ['*'] };
  for (const [rules, action] of [
    [[everything], '*'],
    [[{ match: { account: 'eve', type: '*', name: '**' }, actions: ['*'] }], '*'],
    [[everything, deny], '*'],
    [[{ match: secret, actions: ['pull'] }, everything], '*'],
    [[{ match: secret, actions: [] }, everything], 'pull'],
    [[{ match: secret, actions: ['push'] }, everything], 'pull'],
    [[deny, everything], 'pull'],
    [[deny, { match: { account: 'eve', type: '*' }, actions: ['*'] }], 'pull'],
    [[{ match: { account: 'eve', name: 'c*' }, actions: ['*'] }], 'pull'],
    [[deny, named, everything], '*'],
    [[named], '*'],
  ] as const) {
    const policy = createAclPolicy(rules as never, {});
    const scopes = parseScopes(['registry:catalog:*']);
    const { access } = await grantAccess(policy, callerOf('eve'), scopes);
    assert.deepEqual(access[0]?.actions, [action], JSON.stringify(rules));
  }
});

test('what is not granted names who decided', async () => {
  const scopes = parseScopes(['repository:team/app:pull,push', 'repository:other:pull']);
  const { denied, rules } = await grantAccess(teams, callerOf('bob'), scopes);
  assert.deepEqual(rules, [1]);
  assert.deepEqual(denied, [
    { type: 'repository', name: 'team/app', action: 'push', by: 1 },
    { type: 'repository', name: 'other', action: 'pull', by: 'no rule' },
  ]);
});
