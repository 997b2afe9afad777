import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { stringify } from 'yaml';
import { run } from '../support/run.ts';
import { launcher } from '../support/stack.ts';
import { createTemporaryFolder, type TemporaryFolder } from '../support/temporary-folder.ts';

async function configure(path: string, portcullis: Record<string, unknown>): Promise<void> {
  const auth = { htpasswd: { realm: 'x', path: '/nowhere/htpasswd' } };
  await writeFile(path, stringify({ version: '0.1', storage: 'inmemory', auth, portcullis }));
}

describe('portcullis acl', () => {
  let folder: TemporaryFolder;
  let config: string;

  before(async () => {
    folder = await createTemporaryFolder();
    config = join(folder.path, 'config.yml');
    await configure(config, {
      groups: { admins: ['root'] },
      acl: [
        { match: { account: '@admins' }, actions: ['*'] },
        { match: { name: 'prod/**' }, actions: ['push'], effect: 'deny', comment: 'frozen' },
        { match: { account: '/.+/', ip: '10.0.0.0/8' }, actions: ['*'] },
      ],
    });
  });

  after(() => folder.remove());

  const acl = (...args: string[]) => run(launcher, ['acl', ...args, '--config', config]);
  const explain = (...args: string[]) => acl('explain', ...args);
  const ask = ['--account', 'bob', '--repository', 'prod/app', '--action'];

  test('explain says that everybody may do everything where there is no auth', async () => {
    const open = join(folder.path, 'open.yml');
    await writeFile(open, stringify({ version: '0.1', storage: 'inmemory' }));
    const question = ['acl', 'explain', '--repository', 'a', '--action', 'push', '--config', open];
    const { code, stdout } = await run(launcher, question);
    assert.deepEqual([code, /^everybody may do everything/.test(stdout)], [0, true]);
    const json = await run(launcher, [...question, '--json']);
    assert.deepEqual(JSON.parse(json.stdout)[0].allowed, true);
  });

  test('explain names the rule that decided, and why those above did not', async () => {
    const { code, stdout } = await explain(...ask, 'push', '--ip', '10.0.0.7');
    assert.equal(code, 3);
    assert.match(stdout, /^bob may not push prod\/app\n {2}because of acl\[1\] .*# frozen$/m);
    assert.match(stdout, /skipped: acl\[0\]: bob is not in @admins$/m);
    const pull = await explain(...ask, 'pull', '--ip', '10.0.0.7');
    assert.equal(pull.code, 0);
    assert.match(pull.stdout, /because of acl\[2\]/);
    assert.match(pull.stdout, /skipped: acl\[1\]: it denies push only/);
  });

  test('explain and test judge the catalog as a token is given it', async () => {
    const path = join(folder.path, 'catalog-config.yml');
    // It fits the name of the catalog, and is not about it.
    await configure(path, { acl: [{ match: { account: 'bob', name: 'cat*' }, actions: ['*'] }] });
    const ask = ['acl', 'explain', '--type', 'registry', '--repository', 'catalog'];
    const asBob = (action: string) =>
      run(launcher, [...ask, '--account', 'bob', '--action', action, '--config', path]);
    assert.equal((await asBob('pull')).code, 0, 'who is logged in lists what it may pull');
    const whole = await asBob('*');
    assert.equal(whole.code, 3);
    assert.match(whole.stdout, /acl\[0\] shows no list of all names/);
    const table = join(folder.path, 'catalog.yml');
    const entry = { type: 'registry', repository: 'catalog', account: 'bob' };
    const expectations = [
      { ...entry, action: 'pull', expect: 'allowed' },
      { ...entry, action: '*', expect: 'denied' },
    ];
    await writeFile(table, stringify(expectations));
    assert.equal((await run(launcher, ['acl', 'test', table, '--config', path])).code, 0);
  });

  test('explain says when nothing is about it', async () => {
    const { code, stdout } = await explain('--repository', 'a', '--action', 'pull');
    assert.equal(code, 3);
    assert.match(stdout, /^an anonymous client may not pull a\n {2}because no rule matches/);
    assert.match(stdout, /acl\[2\]: account "" is not \/\.\+\//);
    const from = await explain(...ask, 'pull', '--ip', '11.0.0.1');
    assert.match(from.stdout, /acl\[2\]: ip 11\.0\.0\.1 is not in 10\.0\.0\.0\/8/);
  });

  test('explain answers several actions, in JSON too, and says what does not exist', async () => {
    const both = await explain(...ask, 'pull', '--action', 'push', '--ip', '10.0.0.7', '--json');
    assert.equal(both.code, 3);
    const answers = JSON.parse(both.stdout) as { action: string; allowed: boolean; by: number }[];
    assert.deepEqual(
      answers.map(({ action, allowed, by }) => [action, allowed, by]),
      [
        ['pull', true, 2],
        ['push', false, 1],
      ],
    );
    assert.match(both.stderr, /warn: there is no account "bob", so nobody can log in as it/);
    for (const [args, why] of [
      [['--repository', 'Prod/App', '--action', 'pull'], /"Prod\/App" is not a repository name/],
      [['--repository', 'a', '--action', 'pul'], /"pul" is not an action; did you mean pull\?/],
      [['--repository', 'a', '--action', 'pull', '--type', 'blob'], /"blob" is not a type/],
    ] as const) {
      const { code, stderr } = await explain(...args);
      assert.equal(code, 2);
      assert.match(stderr, why);
    }
  });

  test('test compares a table with the rules', async () => {
    const file = join(folder.path, 'expectations.yml');
    const holds = [
      { account: 'root', repository: 'prod/app', action: ['push', 'delete'], expect: 'allowed' },
      { account: 'bob', repository: 'prod/app', action: 'push', ip: '10.1.1.1', expect: 'denied' },
      { repository: 'a', action: 'pull', expect: 'denied' },
    ];
    await writeFile(file, stringify(holds));
    const good = await acl('test', file);
    assert.deepEqual([good.code, good.stdout], [0, 'all 4 expectations hold\n']);
    await writeFile(file, stringify([...holds, { ...holds[1], expect: 'allowed' }]));
    const bad = await acl('test', file);
    assert.equal(bad.code, 3);
    assert.match(bad.stdout, /^1 of 5 expectations failed$/m);
    assert.match(bad.stdout, /^entry 4: bob push prod\/app: expected allowed, found denied$/m);
    await writeFile(file, stringify([{ ...holds[1], expect: 'maybe' }]));
    const odd = await acl('test', file);
    assert.equal(odd.code, 1);
    assert.match(odd.stderr, /entry 1: expect: must be one of allowed, denied/);
    await writeFile(file, stringify([{ acount: 'bob', action: 'push', expect: 'denied' }]));
    const misspelt = await acl('test', file);
    assert.match(misspelt.stderr, /entry 1: unknown key acount; did you mean account\?/);
    assert.match(misspelt.stderr, /entry 1: repository: is missing/);
  });

  test('a command line that is not understood is told how it would be', async () => {
    for (const args of [['explain'], ['test'], ['explain', '--label', 'x', ...ask, 'pull']]) {
      assert.equal((await acl(...args)).code, 2, args.join(' '));
    }
    assert.match(
      (await run(launcher, ['acl', '--help'])).stdout,
      /^Usage: portcullis acl \[options\] \[command\]/,
    );
  });

  test('explain and test see of a robot what it was made for, as the service does', async () => {
    const state = join(folder.path, 'state');
    await mkdir(state);
    const robots = join(folder.path, 'robots.yml');
    await configure(robots, { auth: { state }, acl: [{ actions: ['pull'] }] });
    const ours = ['--config', robots];
    const create = ['robot', 'create', 'ci', '--access', 'repository:team/*:pull,push', ...ours];
    assert.equal((await run(launcher, create)).code, 0);
    const table = join(folder.path, 'robot-table.yml');
    const account = 'robot+ci';
    await writeFile(
      table,
      stringify([
        { account, repository: 'team/app', action: 'push', expect: 'allowed' },
        { account, repository: 'other/app', action: 'pull', expect: 'denied' },
      ]),
    );
    const { code, stdout } = await run(launcher, ['acl', 'test', table, ...ours]);
    assert.equal(code, 0, stdout);
    const asked = ['--account', account, '--repository', 'other/app', '--action', 'pull'];
    const explained = await run(launcher, ['acl', 'explain', ...asked, ...ours]);
    assert.equal(explained.code, 3);
    assert.match(explained.stdout, /acl\[0\]: rules that allow are not asked about robots/);
  });
});
