import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { createAclPolicy, everyUserPolicy } from './acl.ts';
import { type Caller, callerOf } from './caller.ts';
import { createPolicy } from './create-policy.ts';
import type { AccessRule } from './rule-schema.ts';

const all = ['pull', 'push', 'delete'];

/** What the rules grant of everything. */
function grantedBy(
  rules: readonly AccessRule[],
  caller: Caller,
  name = 'team/app',
  options: { groups?: Record<string, string[]>; now?: Date; actions?: string[] } = {},
): string[] {
  const policy = createAclPolicy(rules, options.groups ?? {});
  const wanted = { type: 'repository', name, actions: options.actions ?? all };
  return policy.decide(caller, wanted, options.now).granted;
}

const allow = (match: AccessRule['match'], ...actions: string[]): AccessRule => ({
  match,
  actions,
});
const deny = (match: AccessRule['match'], ...actions: string[]): AccessRule => ({
  match,
  actions,
  effect: 'deny',
});
const bob = callerOf('bob');

test('a denying rule decides about what it lists, and leaves the rest to those below', () => {
  const rules = [deny({ name: 'prod/**' }, 'delete'), allow({ account: 'bob' }, '*')];
  assert.deepEqual(grantedBy(rules, bob, 'prod/app'), ['pull', 'push']);
  assert.deepEqual(grantedBy(rules, bob, 'test/app'), all);
  assert.deepEqual(grantedBy([...rules].reverse(), bob, 'prod/app'), all, 'the first counts');
  assert.deepEqual(grantedBy([deny({}, '*'), allow({}, '*')], bob), []);
});

test('who is denied one action does not get it by asking for all', () => {
  const rules = [deny({}, 'delete'), allow({}, '*')];
  const ask = (...actions: string[]) => grantedBy(rules, bob, 'a', { actions });
  assert.deepEqual(ask('*'), []);
  assert.deepEqual(ask('pull', '*'), ['pull']);
});

test('an empty list of actions denies everything, as in docker_auth', () => {
  assert.deepEqual(grantedBy([allow({ account: 'bob' }), allow({}, '*')], bob), []);
});

test('the address counts, one or a range, of either family', () => {
  const rules = [allow({ ip: ['10.0.0.0/8', '2001:db8::/32'] }, 'pull')];
  const from = (client: string) => grantedBy(rules, callerOf('bob', { client }), 'a').length > 0;
  assert.equal(from('10.1.2.3'), true);
  assert.equal(from('::ffff:10.1.2.3'), true);
  assert.equal(from('11.1.2.3'), false);
  assert.equal(from('2001:db8::5'), true);
  assert.equal(from('2001:db9::5'), false);
  assert.equal(from(''), false);
  assert.throws(() => grantedBy([allow({ ip: ['10.0.0.0/33'] }, 'pull')], bob), /acl\[0\].*10\.0/);
});

test('a denying rule is about an address that is not known, whatever networks it names', () => {
  const rules = [deny({ ip: ['10.0.0.0/8'] }, 'push'), allow({}, '*')];
  const from = (client: string) => grantedBy(rules, callerOf('bob', { client }), 'a');
  assert.deepEqual(from('10.1.2.3'), ['pull', 'delete']);
  assert.deepEqual(from('11.1.2.3'), all);
  assert.deepEqual(from(''), ['pull', 'delete']);
});

test('the service counts', () => {
  const rules = [allow({ service: 'registry.*' }, 'pull')];
  assert.deepEqual(grantedBy(rules, callerOf('bob', { service: 'registry.a' })), ['pull']);
  assert.deepEqual(grantedBy(rules, callerOf('bob', { service: 'other' })), []);
});

test('labels count, any of their values, and can stand in names', () => {
  const dev = callerOf('eve', { labels: { group: ['dev', 'ops'], project_path: ['team/app'] } });
  assert.deepEqual(grantedBy([allow({ labels: { group: 'ops' } }, 'pull')], dev), ['pull']);
  assert.deepEqual(grantedBy([allow({ labels: { group: 'boss' } }, 'pull')], dev), []);
  assert.deepEqual(grantedBy([allow({ labels: { none: '*' } }, 'pull')], dev), []);
  const own = [allow({ name: '${labels:group}/*' }, 'pull')];
  assert.deepEqual(grantedBy(own, dev, 'ops/x'), ['pull']);
  assert.deepEqual(grantedBy(own, dev, 'qa/x'), []);
  const project = [allow({ name: '${claim:project_path}/**' }, 'push')];
  assert.deepEqual(grantedBy(project, dev, 'team/app/x'), ['push']);
  assert.deepEqual(grantedBy(project, dev, 'team/apps/x'), []);
  assert.deepEqual(grantedBy(project, bob, 'team/app/x'), [], 'no claim, no match');
});

test('what the account captured can stand in the name', () => {
  const rules = [allow({ account: '/^(.+)@(test)\\.com$/', name: '${account:1}/*' }, 'pull')];
  assert.deepEqual(grantedBy(rules, callerOf('joe@test.com'), 'joe/x'), ['pull']);
  assert.deepEqual(grantedBy(rules, callerOf('joe@test.com'), 'jim/x'), []);
  assert.deepEqual(grantedBy(rules, callerOf('.*@test.com'), 'jim/x'), []);
  const none = [allow({ account: 'bob', name: '${account:1}/*' }, 'pull')];
  assert.deepEqual(grantedBy(none, bob, 'x/x'), [], 'nothing captured, no match');
});

test('groups may be in groups, and not in themselves', () => {
  const groups = { admins: ['@leads', 'root'], leads: ['bob'] };
  assert.deepEqual(grantedBy([allow({ account: '@admins' }, 'pull')], bob, 'a', { groups }), [
    'pull',
  ]);
  assert.throws(() => createAclPolicy([], { a: ['@b'], b: ['@a'] }), /a is in b is in a/);
  assert.throws(() => createAclPolicy([], { a: ['@nobody'] }), /no group "nobody"/);
});

const times: readonly [time: AccessRule['match']['time'], when: string, holds: boolean][] = [
  [{ days: 'mon-fri', zone: 'UTC' }, '2026-11-20T12:00:00Z', true],
  [{ days: 'mon-fri', zone: 'UTC' }, '2026-11-21T12:00:00Z', false],
  [{ days: 'fri-mon', zone: 'UTC' }, '2026-11-21T12:00:00Z', true],
  [{ days: 'sat,sun', zone: 'UTC' }, '2026-11-22T23:59:00Z', true],
  [{ hours: '08:00-18:00', zone: 'UTC' }, '2026-11-20T17:59:00Z', true],
  [{ hours: '08:00-18:00', zone: 'UTC' }, '2026-11-20T18:00:00Z', false],
  [{ hours: '08:00-18:00', zone: 'Europe/Berlin' }, '2026-11-20T17:30:00Z', false],
  [{ days: 'fri', hours: '22:00-06:00', zone: 'UTC' }, '2026-11-20T23:00:00Z', true],
  [{ days: 'fri', hours: '22:00-06:00', zone: 'UTC' }, '2026-11-21T05:00:00Z', true],
  [{ days: 'fri', hours: '22:00-06:00', zone: 'UTC' }, '2026-11-20T05:00:00Z', false],
  [{ hours: '00:00-24:00', zone: 'UTC' }, '2026-11-20T23:59:59Z', true],
];
for (const [time, when, holds] of times) {
  test(`${JSON.stringify(time)} ${holds ? 'holds' : 'does not hold'} at ${when}`, () => {
    const granted = grantedBy([allow({ time }, 'pull')], bob, 'a', { now: new Date(when) });
    assert.equal(granted.length > 0, holds);
  });
}

test('a time that cannot be understood is named', () => {
  for (const time of [
    { days: 'monday', zone: 'UTC' },
    { hours: '8-18', zone: 'UTC' },
    { hours: '08:00-25:00', zone: 'UTC' },
    { zone: 'Mars/Base' },
  ]) {
    assert.throws(() => createAclPolicy([allow({ time }, 'pull')], {}), /acl\[0\].*time/);
  }
});

test('a robot has what it was made for, less what is denied to all', () => {
  const access = [{ type: 'repository', name: 'team/*', actions: ['pull', 'push'] }];
  const robot = callerOf('robot+ci', { access });
  const rules = [deny({ name: 'team/frozen' }, 'push'), allow({}, '*')];
  assert.deepEqual(grantedBy(rules, robot, 'team/app'), ['pull', 'push']);
  assert.deepEqual(grantedBy(rules, robot, 'team/frozen'), ['pull']);
  assert.deepEqual(grantedBy(rules, robot, 'other'), []);
  const wanted = { type: 'repository', name: 'other', actions: all };
  assert.deepEqual(everyUserPolicy.decide(robot, wanted).granted, []);
  const own = { ...wanted, name: 'team/app' };
  assert.deepEqual(everyUserPolicy.decide(robot, own).granted, ['pull', 'push']);
});

test('each action names who decided about it', () => {
  const policy = createAclPolicy([deny({}, 'delete'), allow({ name: 'a' }, 'pull')], {});
  const { by } = policy.decide(bob, { type: 'repository', name: 'a', actions: all });
  assert.deepEqual(Object.fromEntries(by), { pull: 1, push: 1, delete: 0 });
  const other = policy.decide(bob, { type: 'repository', name: 'b', actions: ['pull'] });
  assert.deepEqual(Object.fromEntries(other.by), { pull: 'no rule' });
  const report = policy.report(bob, { type: 'repository', name: 'b', actions: ['pull'] });
  assert.deepEqual(
    report.map(({ mismatch }) => mismatch),
    [undefined, 'name "b" is not a'],
  );
});

test('an expression that would never end elsewhere ends here', () => {
  for (const name of ['/^(a+)+$/', '/^(a|aa)+$/', '**a**a**a**a**a**a**a**a**b']) {
    const began = process.cpuUsage().user;
    grantedBy([allow({ name }, 'pull')], bob, `${'a'.repeat(250)}c`);
    // Microseconds; a backtracking engine would need centuries.
    assert.ok(process.cpuUsage().user - began < 5_000_000, name);
  }
  assert.throws(() => grantedBy([allow({ name: '/(?=a)/' }, 'pull')], bob), /acl\[0\].*\(\?=/);
  assert.throws(() => grantedBy([allow({ name: '/(a)\\1/' }, 'pull')], bob), /acl\[0\]/);
});

const manyValues = (key: string, length: number) => Array.from({ length }, (_, n) => `${key}${n}`);

test('a claim with many values fits with any of them, in a rule that denies too', () => {
  const allows = [allow({ name: '${claim:a}/${claim:b}/**' }, 'pull')];
  const denies = [deny({ name: '${claim:a}/${claim:b}/**' }, 'pull'), allow({}, 'pull')];
  const caller = callerOf('x', { labels: { a: manyValues('a', 300), b: manyValues('b', 300) } });
  const began = process.cpuUsage().user;
  assert.deepEqual(grantedBy(allows, caller, 'a299/b299/app'), ['pull']);
  assert.deepEqual(grantedBy(allows, caller, 'a299/b300/app'), []);
  assert.deepEqual(grantedBy(denies, caller, 'a299/b299/app'), []);
  assert.deepEqual(grantedBy(denies, caller, 'a299/b300/app'), ['pull']);
  // Microseconds; ninety thousand expressions would take longer.
  assert.ok(process.cpuUsage().user - began < 2_000_000);
});

test('a type that is a slip is refused, and a name that no repository has is told', () => {
  assert.throws(
    () => createAclPolicy([deny({ type: 'repo', name: 'prod/**' }, 'push')], {}),
    /acl\[0\]: type: there is no "repo"; did you mean repository\?/,
  );
  createAclPolicy([deny({ type: 'repository(plugin)' }, 'push')], {});
  const told: string[] = [];
  const rules = [allow({ name: 'Prod/**' }, 'pull'), allow({ name: 'prod/**' }, 'pull')];
  createPolicy({ rules, groups: {} }, (message) => told.push(message));
  assert.equal(told.length, 1);
  assert.match(told[0] ?? '', /^portcullis\.acl\[0\]: "Prod\/\*\*" fits no repository/);
});

test('a placeholder that stands twice has the same value in both places', () => {
  const rules = [allow({ name: '${claim:a}/x/${claim:a}' }, 'pull')];
  const caller = callerOf('x', { labels: { a: ['a', 'b'] } });
  assert.deepEqual(grantedBy(rules, caller, 'b/x/b'), ['pull']);
  assert.deepEqual(grantedBy(rules, caller, 'a/x/b'), []);
});

test('where a claim has more values than are tried, nothing is allowed and all is denied', () => {
  const twice = '${claim:a}/${claim:a}';
  const all = Array.from({ length: 401 }, (_, length) => 'a'.repeat(length + 1));
  const caller = callerOf('x', { labels: { a: all } });
  const name = `${all.at(-1)}/${all.at(-1)}`;
  assert.deepEqual(grantedBy([allow({ name: twice }, 'pull')], caller, name), []);
  const denies = [deny({ name: twice }, 'pull'), allow({}, 'pull')];
  assert.deepEqual(grantedBy(denies, caller, name), []);
  const once = [deny({ name: '${claim:a}/b' }, 'pull'), allow({}, 'pull')];
  assert.deepEqual(grantedBy(once, caller, `${all.at(-1)}/c`), []);
});

test('a deny rule is lifted neither by a value that no name can have, nor by many values', () => {
  const secret = [deny({ name: '/^(${claim:team}-)?secret$/' }, 'push'), allow({}, '*')];
  for (const team of [['ok'], ['Bad!', 'ok'], ['ok', 'ok'], manyValues('t', 5000)]) {
    const caller = callerOf('x', { labels: { team } });
    assert.deepEqual(grantedBy(secret, caller, 'secret', { actions: ['push'] }), []);
  }
  const account = '/^(gitlab):.*(?:${claim:t})?$/';
  const captured = [deny({ account, name: '${account:1}/**' }, 'push'), allow({}, '*')];
  const all = Array.from({ length: 401 }, (_, length) => 'a'.repeat(length + 1));
  for (const t of [Array(5000).fill('x'), all]) {
    const caller = callerOf(`gitlab:${all.at(-1)}`, { labels: { t } });
    assert.deepEqual(grantedBy(captured, caller, 'gitlab/x', { actions: ['push'] }), []);
  }
});

test('labels with many values, and placeholders in their patterns, take a bounded time', () => {
  const a = manyValues('a', 4000);
  const caller = callerOf('x', { labels: { a, b: a } });
  const began = process.cpuUsage().user;
  for (const text of [
    '${claim:a}',
    '${claim:a}${claim:a}',
    '${claim:a}${claim:b}${claim:a}${claim:b}x',
  ]) {
    const rules = [deny({ labels: { a: text } }, 'pull'), allow({}, 'pull')];
    for (let scope = 0; scope < 5; scope += 1) grantedBy(rules, caller, `a/${scope}`);
  }
  // Microseconds; all ways would take minutes.
  assert.ok(process.cpuUsage().user - began < 5_000_000);
});

test('values of a claim that do not stand in a name cost next to nothing', () => {
  const rules = [allow({ name: '${claim:a}/**' }, 'pull')];
  const began = process.cpuUsage().user;
  for (let job = 0; job < 20; job += 1) {
    const a = manyValues(`${'g'.repeat(190)}${job}-`, 200);
    const caller = callerOf('x', { labels: { a } });
    const policy = createAclPolicy(rules, {});
    for (let scope = 0; scope < 100; scope += 1) {
      const wanted = { type: 'repository', name: `${a[scope]}/app`, actions: ['pull'] };
      assert.deepEqual(policy.decide(caller, wanted).granted, ['pull']);
    }
  }
  // Microseconds; an expression of all of them takes a tenth of a second.
  assert.ok(process.cpuUsage().user - began < 4_000_000);
});

test('an expression may do without a claim, or take other letters for the same', () => {
  const caller = callerOf('x', { labels: { a: ['b', 'TEAM'] } });
  assert.deepEqual(grantedBy([allow({ name: '/^a(-${claim:a})?$/' }, 'pull')], caller, 'a'), [
    'pull',
  ]);
  const account = [allow({ account: '/(?i)^x|${claim:a}$/', name: '/(?i)^team/' }, 'pull')];
  assert.deepEqual(grantedBy(account, callerOf('team', { labels: { a: ['TEAM'] } }), 'team'), [
    'pull',
  ]);
});

test('no claim widens a rule beyond the part of the name that it is', () => {
  const policy = createAclPolicy([allow({ name: '${claim:path}/**' }, 'pull')], {});
  const odd = fc.oneof(
    fc.string({ unit: fc.constantFrom(...'ab.*+?^$()[]{}|\\/-_') }),
    fc.constantFrom('**', '.*', 'a|b', '..', 'a/../b', '(?:)', '[a-z]+', 'team/', '/team'),
  );
  const name = fc.stringMatching(/^[a-z]{1,3}(\/[a-z]{1,3}){0,3}$/);
  fc.assert(
    fc.property(odd, name, (path, repository) => {
      const caller = callerOf('x', { labels: { path: [path] } });
      const wanted = { type: 'repository', name: repository, actions: ['pull'] };
      if (policy.decide(caller, wanted).granted.length > 0) {
        assert.ok(repository.startsWith(`${path}/`));
      }
    }),
    { numRuns: 2000 },
  );
});
