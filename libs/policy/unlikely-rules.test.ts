import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type AccessRule, ruleListSchema } from './rule-schema.ts';
import { remarksOnGroups, remarksOnRules } from './unlikely-rules.ts';

function remarks(match: AccessRule['match'], more: Partial<AccessRule> = {}): string[] {
  return remarksOnRules(ruleListSchema.parse([{ match, actions: ['pull'], ...more }]));
}

test('an account that nobody has is told, with what was meant', () => {
  for (const [account, expected] of [
    ['bob,ann', /acl\[0\]: account "bob,ann" is one account, and no list/],
    ['bob|ann', /no list; several are a group/],
    ['bob ann', /no list/],
    ['!admin', /no negation; write a rule with effect: deny/],
    ['/bob', /is no expression/],
    ['/^BOB$/i', /what would be a flag stands in it, as \(\?i\)/],
  ] as const) {
    const [told = '', ...others] = remarks({ account });
    assert.match(told, expected);
    assert.equal(others.length, 0, account);
  }
});

test('an account by the name of a group is told', () => {
  const rules = ruleListSchema.parse([
    { match: { account: 'admins' }, actions: ['pull'] },
    { match: { account: '@admins' }, actions: ['pull'] },
  ]);
  const told = remarksOnRules(rules, { admins: ['ann'] });
  assert.equal(told.length, 1);
  assert.match(told[0] ?? '', /acl\[0\]: account "admins" is one account, .*; write "@admins"/);
});

test('a name that no repository has is told', () => {
  for (const [name, expected] of [
    ['{prod,stage}/**', /braces mean nothing here/],
    ['Prod/**', /fits no repository/],
    ['/prod/**', /fits no repository/],
    ['/prod/', /matches parts of names/],
  ] as const) {
    assert.match(remarks({ name }).join('\n'), expected);
  }
});

test('a group of an expression that is not there is told', () => {
  for (const [match, expected] of [
    [{ account: '/^(a).*$/', name: '${account:2}/**' }, /\$\{account:2\}.* with 1, so that/],
    [{ account: 'bob*', name: '${account:1}/**' }, /account is no expression with groups/],
    [{ name: '${account:1}/**' }, /stands for nothing/],
  ] as const) {
    assert.match(remarks(match).join('\n'), expected);
  }
});

test('that everybody may change something is told', () => {
  assert.match(remarks({}, { actions: ['*'] }).join(), /everybody may \*, also who has not logged/);
  assert.match(
    remarks({ name: 'a/**' }, { actions: ['pull', 'push'] }).join(),
    /everybody may push/,
  );
  for (const match of [{ account: '/.+/' }, { ip: ['10.0.0.0/8'] }, { labels: { team: 'a' } }]) {
    assert.deepEqual(remarks(match, { actions: ['*'] }), []);
  }
  // Who has not logged in has none of these.
  for (const name of [
    '${labels:group}/**',
    '${claim:project_path}/**',
    'a/${account}',
    '${account:1}',
  ]) {
    const told = remarks({ name }, { actions: ['push', 'pull'] });
    assert.doesNotMatch(told.join(), /everybody/, name);
  }
  for (const account of ['*', '**', '/.*/']) {
    assert.match(remarks({ account }, { actions: ['*'] }).join(), /everybody may \*/, account);
  }
  assert.deepEqual(remarks({}, { actions: ['*'], effect: 'deny' }), []);
  const denied = ruleListSchema.parse([
    { match: { account: '' }, actions: ['*'], effect: 'deny' },
    { actions: ['*'] },
  ]);
  assert.deepEqual(remarksOnRules(denied), []);
  // What is denied to strangers in one place, or in one way, leaves the rest open.
  for (const [match, actions] of [
    [{ account: '', name: 'a/**' }, ['*']],
    [{ account: '' }, ['push']],
    [{ account: 'bob' }, ['*']],
  ] as const) {
    const rules = ruleListSchema.parse([{ match, actions, effect: 'deny' }, { actions: ['*'] }]);
    assert.match(remarksOnRules(rules).join(), /acl\[1\]: everybody may/);
  }
  assert.deepEqual(remarks({}), []);
});

test('a type that nothing is of is told', () => {
  for (const type of ['repositories', 'image', 'catalog']) {
    assert.match(
      remarks({ type }).join(),
      /is about the type ".*": there are repository and/,
      type,
    );
  }
  for (const type of ['repository', 'registry', 'repository(plugin)', 'im*', '/^x/', '${type}']) {
    assert.doesNotMatch(remarks({ type }).join(), /is about the type/, type);
  }
});

test('a right to push that nobody can use is told', () => {
  assert.match(remarks({ account: 'bob' }, { actions: ['push'] }).join(), /push without pull/);
  assert.deepEqual(remarks({ account: 'bob' }, { actions: ['pull', 'push'] }), []);
});

test('what may be meant is not remarked on', () => {
  for (const match of [
    { account: 'bob', name: 'team/app' },
    { account: '', name: '**' },
    { account: '@team', name: '${account}/**' },
    { account: '/^(\\w+)-(\\w+)$/', name: '${account:2}/${account:1}/*' },
    { account: 'gl:project_path:a/b,c:ref:x', name: '${claim:project_path}' },
    { account: '[ab]*', name: '/^(?:prod|stage)\\/[a-z]{2,5}$/' },
  ]) {
    assert.deepEqual(remarks(match), [], JSON.stringify(match));
  }
  assert.deepEqual(remarksOnGroups({ team: ['bob', '@others'] }), []);
});

test('a member of a group that is several accounts is told', () => {
  assert.match(remarksOnGroups({ team: ['bob,ann'] }).join(), /groups: team: "bob,ann" is one/);
});
