import assert from 'node:assert/strict';
import {
  chmod,
  chown,
  lchown,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { stringify } from 'yaml';
import { run } from '../support/run.ts';
import { launcher } from '../support/stack.ts';
import { createTemporaryFolder, type TemporaryFolder } from '../support/temporary-folder.ts';

describe('commands about accounts and keys', () => {
  let folder: TemporaryFolder;
  let config: string;
  let htpasswd: string;
  let state: string;

  beforeEach(async () => {
    folder = await createTemporaryFolder();
    config = join(folder.path, 'config.yml');
    htpasswd = join(folder.path, 'htpasswd');
    state = join(folder.path, 'state');
    await mkdir(state);
    await writeFile(htpasswd, '# no accounts\n');
    await writeFile(
      config,
      stringify({
        version: '0.1',
        storage: 'inmemory',
        auth: { htpasswd: { realm: 'x', path: htpasswd } },
        portcullis: {
          auth: { state },
          users: {
            carol: { password: '$2y$05$abcdefghijklmnopqrstuuJlkM6mB6WXaqwWMTZJqpJuSMkh3Y3He' },
          },
          acl: [],
          workloads: [{ name: 'gitlab', issuer: 'https://gitlab.example', audience: 'x' }],
        },
      }),
    );
  });

  afterEach(() => folder.remove());

  const portcullis = (...args: string[]) => run(launcher, args);

  test('say so where there is nothing to list', async () => {
    for (const [args, message] of [
      [['user', 'list', '--file', htpasswd], `no users in ${htpasswd}\n`],
      [['robot', 'list', '--config', config], `no robots in ${join(state, 'robots.yml')}\n`],
      [['keys', 'list', '--state', state], `no signing keys in ${state}\n`],
    ] as const) {
      const { code, stdout, stderr } = await portcullis(...args);
      assert.deepEqual([code, stdout, stderr], [0, '', message]);
    }
  });

  test('make no user of a robot’s name, and show one that is there as one who cannot log in', async () => {
    const add = await run(launcher, ['user', 'add', '--file', htpasswd, 'robot+x'], { input: 'x' });
    assert.equal(add.code, 1);
    assert.match(add.stderr, /names that begin with robot\+ are those of robots/);
    const hash = '$2y$05$abcdefghijklmnopqrstuuJlkM6mB6WXaqwWMTZJqpJuSMkh3Y3He';
    await writeFile(htpasswd, `robot+x:${hash}\n`);
    const { stdout, stderr } = await portcullis('user', 'list', '--file', htpasswd);
    assert.equal(stdout, '');
    assert.match(stderr, /user "robot\+x" is refused: names that begin with robot\+/);
  });

  test('know a user of the file whatever blanks are around the line', async () => {
    const hash = '$2y$05$abcdefghijklmnopqrstuuJlkM6mB6WXaqwWMTZJqpJuSMkh3Y3He';
    const listed = async () =>
      (await portcullis('user', 'list', '--quiet', '--file', htpasswd)).stdout;
    for (const change of [
      ['user', 'remove', '--file', htpasswd, 'eve'],
      ['htpasswd', '-D', htpasswd, 'eve'],
    ]) {
      await writeFile(htpasswd, `bob:${hash}\n  eve:${hash}\t\n`);
      assert.equal(await listed(), 'bob\neve\n');
      assert.equal((await portcullis(...change)).code, 0);
      assert.equal(await listed(), 'bob\n');
    }
    await writeFile(htpasswd, `  bob:${hash}\n`);
    const { code } = await run(launcher, ['user', 'passwd', '--file', htpasswd, 'bob'], {
      input: 'a new password',
    });
    assert.equal(code, 0);
    const text = await readFile(htpasswd, 'utf8');
    assert.ok(!text.includes(hash) && text.startsWith('bob:'), text);
  });

  test('of root follow no link of whoever owns the folder', {
    skip: process.getuid?.() !== 0,
  }, async () => {
    const nobody = 65_534;
    await chmod(folder.path, 0o755);
    const [theirs, open, secret] = ['theirs', 'open', 'secret'].map((name) =>
      join(folder.path, name),
    ) as [string, string, string];
    await writeFile(secret, 'root:*\n', { mode: 0o600 });
    await mkdir(open);
    await chmod(open, 0o1777);
    await symlink(secret, join(open, 'htpasswd'));
    await symlink(secret, join(open, 'robots.yml'));
    await mkdir(theirs);
    await symlink(open, join(theirs, 'auth'));
    for (const path of ['', 'auth']) await lchown(join(theirs, path), nobody, nobody);
    for (const name of ['htpasswd', 'robots.yml']) await lchown(join(open, name), nobody, nobody);
    const auth = join(theirs, 'auth');
    for (const args of [
      ['user', 'add', '--file', join(auth, 'htpasswd'), 'eve'],
      ['user', 'remove', '--file', join(auth, 'htpasswd'), 'root'],
      ['robot', 'create', 'ci', '--access', 'repository:a:pull', '--state', auth],
      ['htpasswd', '-B', join(auth, 'htpasswd'), 'eve'],
      ['htpasswd', '-cB', join(auth, 'htpasswd'), 'eve'],
      ['htpasswd', '-D', join(auth, 'htpasswd'), 'root'],
    ]) {
      const { code, stderr } = await run(launcher, args, { input: 'a password' });
      assert.equal(code, 1, stderr);
    }
    assert.equal((await run(launcher, ['certs', auth, 'a.test'])).code, 0);
    assert.equal((await stat(join(auth, 'ca.key'))).uid, nobody);
    assert.equal(await readFile(secret, 'utf8'), 'root:*\n');
  });

  test('of root change nothing where several others can change the way', {
    skip: process.getuid?.() !== 0,
  }, async () => {
    await chmod(folder.path, 0o755);
    const shared = join(folder.path, 'shared');
    await mkdir(join(shared, 'auth'), { recursive: true });
    await chown(shared, 0, 65_533);
    await chmod(shared, 0o2775);
    const file = join(shared, 'auth', 'htpasswd');
    for (const args of [
      ['user', 'add', '--file', file, 'eve'],
      ['htpasswd', '-cB', file, 'eve'],
      ['certs', join(shared, 'auth'), 'a.test'],
      ['quickstart', '--dir', join(shared, 'auth')],
    ]) {
      const { code, stderr } = await run(launcher, args, { input: 'a password' });
      assert.equal(code, 2, stderr);
      assert.match(stderr, /others than root can change where .* leads, by .*shared: take that/);
    }
    assert.deepEqual(await readdir(join(shared, 'auth')), []);
  });

  test('give a new password to a user whose hash is refused, or remove it', async () => {
    const change = (action: string, name: string, input = 'a good password') =>
      run(launcher, ['user', action, '--file', htpasswd, name], { input });
    await writeFile(htpasswd, 'old:{SHA}x\nolder:$apr1$x$y\n');
    assert.match((await change('add', 'old')).stderr, /already has a user "old"; .*user passwd/);
    assert.equal((await change('passwd', 'old')).code, 0);
    assert.equal((await change('remove', 'older')).code, 0);
    assert.match(await readFile(htpasswd, 'utf8'), /^old:\$2y\$10\$\S{53}\n$/);
  });

  test('list in tables, in JSON, or names alone', async () => {
    const hash = '$2y$05$abcdefghijklmnopqrstuuJlkM6mB6WXaqwWMTZJqpJuSMkh3Y3He';
    await writeFile(htpasswd, `bob:${hash}\nold:{SHA}x\n`);
    const list = (...args: string[]) => portcullis('user', 'list', '--file', htpasswd, ...args);
    const table = await list();
    assert.equal(table.stdout, 'USER   PASSWORD\nbob    bcrypt, cost 5\n');
    assert.match(table.stderr, /user "old" is refused: the hash is not bcrypt/);
    assert.equal((await list('--quiet')).stdout, 'bob\n');
    const json = JSON.parse((await list('--json')).stdout) as { users: unknown };
    assert.deepEqual(json.users, [{ name: 'bob', hash: 'bcrypt', cost: 5 }]);
    const create = ['robot', 'create', 'ci', '--access', 'repository:a:pull', '--config', config];
    assert.equal((await portcullis(...create, '--comment', 'builds')).code, 0);
    const robots = await portcullis('robot', 'list', '--config', config);
    const row = /^robot\+ci +20\S+ +never +repository:a:pull +builds$/m;
    assert.match(robots.stdout, /^USER +EXPIRES +LAST USED +ACCESS +COMMENT\n/);
    assert.match(robots.stdout, row);
    const [robot] = JSON.parse(
      (await portcullis('robot', 'list', '--json', '--config', config)).stdout,
    ) as { user: string; access: string[] }[];
    assert.deepEqual([robot?.user, robot?.access], ['robot+ci', ['repository:a:pull']]);
  });

  test('say what a rotation of keys waits for, and that another one is pending', async () => {
    const target = ['--config', config];
    assert.equal((await portcullis('keys', 'create', ...target)).code, 0);
    const first = await portcullis('keys', 'rotate', '--grace', '1h', ...target);
    assert.match(first.stdout, /\nsigns from 20\S+ \(--grace 1h\)\n/);
    const second = await portcullis('keys', 'rotate', '--grace', '2h', ...target);
    assert.match(second.stderr, /^another new key is pending: \S{43} signs from 20/);
    const { stdout } = await portcullis('keys', 'list', '--json', ...target);
    const states = (JSON.parse(stdout) as { state: string }[]).map(({ state }) => state);
    assert.deepEqual(states, ['signs', 'will sign', 'will sign']);
    const wrong = await portcullis('keys', 'rotate', '--grace', 'soon', ...target);
    assert.equal(wrong.code, 2);
    assert.match(wrong.stderr, /'soon' is invalid. It is not a duration such as 10s/);
  });

  test('refuse a state folder that does not exist', async () => {
    const absent = join(folder.path, 'absent');
    for (const args of [
      ['robot', 'list', '--state', absent],
      ['robot', 'create', 'ci', '--access', 'repository:a:pull', '--state', absent],
      ['token', 'revoke', 'bob', '--state', absent],
      ['keys', 'list', '--state', absent],
      ['keys', 'rotate', '--state', absent],
    ]) {
      const { code, stdout, stderr } = await portcullis(...args);
      assert.deepEqual([code, stdout], [1, ''], args.join(' '));
      assert.match(stderr, /absent does not exist; name auth's state folder/);
    }
  });

  test('follow no link of whoever owns the folder', {
    skip: process.getuid?.() !== 0,
  }, async () => {
    const [mine, theirs] = ['mine', 'theirs'].map((name) => join(folder.path, name));
    assert.ok(mine !== undefined && theirs !== undefined);
    await chmod(folder.path, 0o755);
    await mkdir(mine, { mode: 0o700 });
    await mkdir(theirs);
    await writeFile(join(mine, 'htpasswd'), '# of root\n', { mode: 0o600 });
    await symlink('../mine/htpasswd', join(theirs, 'htpasswd'));
    await chown(theirs, 4321, 4321);
    const file = ['--file', join(theirs, 'htpasswd')];
    const added = await run(launcher, ['user', 'add', ...file, 'eve'], { input: 'a password' });
    assert.equal(added.code, 1);
    assert.equal(await readFile(join(mine, 'htpasswd'), 'utf8'), '# of root\n');

    // A file in a folder of root's is replaced, whosever it is and however it is named.
    await writeFile(join(mine, 'users'), '');
    await chown(join(mine, 'users'), 4321, 4321);
    const relative = await run(launcher, ['user', 'add', '--file', 'users', 'ann'], {
      input: 'a password',
      cwd: mine,
    });
    assert.equal(relative.code, 0, relative.stderr);
    await rm(join(mine, 'users'));

    // Laid while others might write to a folder of root's.
    const state = join(folder.path, 'closed again');
    await mkdir(state);
    await symlink(mine, join(state, 'keys'));
    await lchown(join(state, 'keys'), 4321, 4321);
    const created = await portcullis('keys', 'create', '--state', state);
    assert.equal(created.code, 2, created.stderr);
    assert.match(created.stderr, /not in the hands of the same user/);
    assert.deepEqual(await readdir(mine), ['htpasswd']);
  });

  test('token revoke refuses an account that does not exist', async () => {
    await writeFile(htpasswd, 'bob:$2y$05$abcdefghijklmnopqrstuuJlkM6mB6WXaqwWMTZJqpJuSMkh3Y3He\n');
    const robot = ['robot', 'create', 'ci', '--access', 'repository:a:pull', '--config', config];
    assert.equal((await portcullis(...robot)).code, 0);
    for (const known of ['bob', 'carol', 'robot+ci', 'gitlab:project_path:a/b']) {
      const { code, stdout } = await portcullis('token', 'revoke', known, '--config', config);
      assert.equal(code, 0, known);
      assert.match(stdout, /void within seconds/);
    }
    for (const [unknown, message] of [
      ['ghost', 'there is no account "ghost"'],
      ['robot+ghost', 'there is no account "robot+ghost"'],
      [
        'gitlap:project_path:a/b',
        'there is no workload "gitlap"; portcullis.workloads has: gitlab',
      ],
    ] as const) {
      const { code, stderr } = await portcullis('token', 'revoke', unknown, '--config', config);
      assert.equal(code, 1, unknown);
      assert.ok(stderr.includes(message), stderr);
    }
  });
});
