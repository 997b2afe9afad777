import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Access } from '#libs/access/scope.ts';
import { createAclPolicy, everyUserPolicy } from './acl.ts';
import { callerOf } from './caller.ts';
import { isUnanchored } from './pattern.ts';
import type { Policy } from './policy.ts';
import type { AccessRule } from './rule-schema.ts';

const rule = (match: AccessRule['match'], ...actions: string[]): AccessRule => ({ match, actions });

/** What an account is granted of what it requests. */
const granted = (policy: Policy, account: string, wanted: Access) =>
  policy.decide(callerOf(account), wanted).granted;

/** Whether the rules let an account pull a repository. */
function mayPull(match: AccessRule['match'], account: string, name: string, groups = {}): boolean {
  const policy = createAclPolicy([rule(match, 'pull')], groups);
  return granted(policy, account, { type: 'repository', name, actions: ['pull'] }).length > 0;
}

test('the first rule that matches decides, also when it grants less than a later one', () => {
  const policy = createAclPolicy(
    [rule({ account: 'bob', name: 'team/*' }, 'pull'), rule({ account: 'bob' }, '*')],
    {},
  );
  const wanted = { type: 'repository', actions: ['pull', 'push'] };
  assert.deepEqual(granted(policy, 'bob', { ...wanted, name: 'team/app' }), ['pull']);
  assert.deepEqual(granted(policy, 'bob', { ...wanted, name: 'other' }), ['pull', 'push']);
});

test('if no rule matches, nothing is granted', () => {
  assert.equal(mayPull({ account: 'bob' }, 'eve', 'a'), false);
  const nothing = createAclPolicy([], {});
  assert.deepEqual(
    granted(nothing, 'bob', { type: 'repository', name: 'a', actions: ['pull'] }),
    [],
  );
});

test('a field that is left out matches everything, a caller without login included', () => {
  assert.equal(mayPull({}, '', 'a/b'), true);
  assert.equal(mayPull({ name: 'public/**' }, '', 'public/x/y'), true);
  assert.equal(mayPull({ account: '' }, '', 'a'), true);
  assert.equal(mayPull({ account: '' }, 'bob', 'a'), false);
  assert.equal(mayPull({ account: '/.+/' }, '', 'a'), false);
  assert.equal(mayPull({ account: '*' }, 'bob', 'a'), true);
});

const names: readonly [pattern: string, name: string, matches: boolean][] = [
  ['team/app', 'team/app', true],
  ['team/app', 'team/apps', false],
  ['team/*', 'team/app', true],
  ['team/*', 'team/app/x', false],
  ['team/*', 'team', false],
  ['*/app', 'team/app', true],
  ['team/**', 'team/app/x', true],
  ['team/**', 'teams/app', false],
  ['**', 'a/b/c', true],
  ['te?m', 'team', true],
  ['te?m', 'te/m', false],
  ['v[0-9]', 'v7', true],
  ['v[^0-9]', 'v7', false],
  ['a.b', 'axb', false],
  ['a+b', 'aab', false],
  ['/^team/', 'team/app', true],
  ['/app/', 'team/apple', true],
  ['/^app$/', 'team/app', false],
];
for (const [pattern, name, matches] of names) {
  test(`the name ${pattern} ${matches ? 'matches' : 'does not match'} ${name}`, () => {
    assert.equal(mayPull({ name: pattern }, 'bob', name), matches);
  });
}

test('a group is its members, and never the caller without login', () => {
  const groups = { admins: ['alice', ''] };
  assert.equal(mayPull({ account: '@admins' }, 'alice', 'a', groups), true);
  assert.equal(mayPull({ account: '@admins' }, 'bob', 'a', groups), false);
  assert.equal(mayPull({ account: '@admins' }, '', 'a', groups), false);
  assert.throws(
    () => createAclPolicy([rule({ account: '@nobody' }, '*')], groups),
    /no group "nobody"/,
  );
  assert.throws(() => createAclPolicy([rule({ account: '@toString' }, '*')], {}), /no group/);
});

test('a rule that cannot be compiled is named', () => {
  assert.throws(() => createAclPolicy([rule({}), rule({ name: '/(/' }, '*')], {}), /acl\[1\]/);
  assert.throws(
    () => createAclPolicy([rule({ name: '${accuont}/*' }, '*')], {}),
    /unknown placeholder/,
  );
  assert.throws(() => createAclPolicy([rule({ name: '[${account}]' }, '*')], {}), /inside \[ \]/);
});

test('everybody owns the namespace of their name', () => {
  assert.equal(mayPull({ name: '${account}/**' }, 'bob', 'bob/app/x'), true);
  assert.equal(mayPull({ name: '${account}/**' }, 'bob', 'bobby/app'), false);
  assert.equal(mayPull({ name: '/^${account}/' }, 'bob', 'bob/app'), true);
  assert.equal(mayPull({ name: '${account}/**' }, '', 'x/app'), false);
});

test('no account name widens a rule beyond its own namespace', () => {
  const policies = ['${account}/**', '/^${account}\\/.*$/', '${account}/*'].map((name) =>
    createAclPolicy([rule({ name }, '*')], {}),
  );
  const odd = fc.oneof(
    fc.string({ unit: fc.constantFrom(...'ab.*+?^$()[]{}|\\/-_') }),
    fc.string(),
    fc.constantFrom('**', '.*', 'a|b', 'team', '${account}', '..', '(?:)', '[a-z]+'),
  );
  const name = fc.stringMatching(/^[a-z]{1,3}(\/[a-z]{1,3}){0,2}$/);
  fc.assert(
    fc.property(odd, name, (account, repository) => {
      for (const policy of policies) {
        const actions = granted(policy, account, {
          type: 'repository',
          name: repository,
          actions: ['pull'],
        });
        if (actions.length > 0) assert.ok(repository.startsWith(`${account}/`));
      }
    }),
    { numRuns: 2000 },
  );
});

test('what is granted never exceeds what was asked', () => {
  const all = createAclPolicy([rule({}, '*')], {});
  assert.deepEqual(granted(all, 'a', { type: 'repository', name: 'x', actions: ['pull'] }), [
    'pull',
  ]);
});

test('without rules whoever can log in may do everything, and nobody else', () => {
  const wanted = { type: 'repository', name: 'a', actions: ['pull', 'push', 'delete'] };
  assert.deepEqual(granted(everyUserPolicy, 'bob', wanted), wanted.actions);
  assert.deepEqual(granted(everyUserPolicy, '', wanted), []);
});

test('an expression that matches anywhere is recognised', () => {
  assert.equal(isUnanchored('/app/'), true);
  assert.equal(isUnanchored('/^app/'), true);
  assert.equal(isUnanchored('/^app$/'), false);
  assert.equal(isUnanchored('app/*'), false);
});
