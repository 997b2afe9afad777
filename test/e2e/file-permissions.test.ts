import assert from 'node:assert/strict';
import { chmod, chown, mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { run } from '../support/run.ts';
import { launcher } from '../support/stack.ts';
import { createTemporaryFolder } from '../support/temporary-folder.ts';

const env = { PATH: process.env.PATH ?? '' };
const input = 'a good password';

/** A registry that root starts, and commands of it. */
async function configured(user: string, folders: { storage?: string; users?: string } = {}) {
  const folder = await createTemporaryFolder();
  const at = (...names: string[]) => join(folder.path, ...names);
  await chmod(folder.path, 0o755);
  const config = at('config.yml');
  const users = at(folders.users ?? '.', 'htpasswd');
  await writeFile(
    config,
    `version: 0.1
storage: ${folders.storage ?? `{ filesystem: { rootdirectory: ${at('root')} } }`}
http: { addr: "127.0.0.1:0" }
auth: { htpasswd: { realm: x, path: ${users} } }
portcullis: { user: "${user}", auth: { state: ${at('state')} } }
`,
  );
  const command = async (...words: string[]) =>
    (await run(launcher, [...words, '--config', config, 'ann'], { input, env })).stderr;
  const check = async () =>
    (await run(launcher, ['config', 'check', '-q', config], { env })).stderr;
  return { ...folder, at, users, command, check };
}

const groupMayRead = (gid: number, file: string) => `chgrp ${gid} ${file} && chmod g+r ${file}`;

describe('changes of users that who serves may not read', {
  skip: process.getuid?.() !== 0,
}, () => {
  test('are told with what helps, also where the file is in a folder of a third user', async (t) => {
    const { at, users, command, check, remove } = await configured('4321:4322', { users: 'etc' });
    t.after(remove);
    await mkdir(at('etc'));
    await chown(at('etc'), 5432, 5432);
    const advice = groupMayRead(4322, users);
    assert.ok((await command('user', 'add')).includes(advice));
    assert.equal((await stat(users)).uid, 5432);
    assert.ok((await check()).includes(advice));
    assert.ok((await command('user', 'passwd')).includes(advice));
    await run('sh', ['-c', advice]);
    assert.match(await command('user', 'passwd'), /^user "ann": done\n$/);
    assert.deepEqual([(await stat(users)).gid, (await stat(users)).mode & 0o777], [4322, 0o640]);
    assert.doesNotMatch(await check(), /htpasswd/);
  });

  test('name the folder that is closed, and opening it helps', async (t) => {
    const { at, users, command, check, remove } = await configured('4321:4322', { users: 'etc' });
    t.after(remove);
    await mkdir(at('etc'), { mode: 0o700 });
    for (const told of [await command('user', 'add'), await check()]) {
      const [advice = ''] = /chmod o\+x .*/.exec(told) ?? [];
      assert.equal(advice, `chmod o+x ${at('etc')}`, told);
    }
    await run('sh', ['-c', `chmod o+x ${at('etc')}`]);
    assert.match(await command('user', 'passwd'), /^user "ann": done\n$/);
    assert.equal((await stat(users)).mode & 0o777, 0o640);
  });

  for (const storage of [undefined, '{ inmemory: {} }']) {
    const where = storage === undefined ? 'a new registry' : 'a registry in memory';
    test(`are told of ${where} that its owner is to serve`, async (t) => {
      const { users, command, check, remove } = await configured(
        'owner',
        storage === undefined ? {} : { storage },
      );
      t.after(remove);
      assert.doesNotMatch(await command('user', 'add'), /warn/);
      assert.equal((await stat(users)).gid, 65_532);
      await chmod(users, 0o600);
      assert.ok((await command('user', 'passwd')).includes(groupMayRead(65_532, users)));
      const told = await check();
      assert.match(told, /may not be read by user 65532/);
      assert.doesNotMatch(told, /^stop/m);
    });
  }
});

test('a link to where who serves may not look is told by what it leads to', {
  skip: process.getuid?.() !== 0,
}, async (t) => {
  const { at, users, command, check, remove } = await configured('4321:4322');
  t.after(remove);
  await mkdir(at('closed'), { mode: 0o700 });
  await symlink(at('closed', 'users'), users);
  await command('user', 'add');
  await writeFile(at('closed', 'users'), '');
  await chmod(at('closed', 'users'), 0o644);
  const advice = `chmod o+x ${at('closed')}`;
  assert.ok((await check()).includes(advice));
  await run('sh', ['-c', advice]);
  assert.doesNotMatch(await check(), /may not be read/);
  // An owner is judged by the owner's bits.
  await chown(at('closed', 'users'), 4321, 4322);
  await chmod(at('closed', 'users'), 0o040);
  assert.ok((await check()).includes(`chmod u+r ${users}`));
  await run('sh', ['-c', `chmod u+r ${users}`]);
  assert.doesNotMatch(await check(), /may not be read/);
});

test('a new root directory that its user could not reach stops the check as it does the start', {
  skip: process.getuid?.() !== 0,
}, async (t) => {
  const { at, check, remove } = await configured('owner', {
    storage: '{ filesystem: { rootdirectory: ROOT } }',
  });
  t.after(remove);
  await mkdir(at('closed'), { mode: 0o700 });
  const config = await readFile(at('config.yml'), 'utf8');
  await writeFile(at('config.yml'), config.replace('ROOT', at('closed/below/root')));
  const advice = `chmod o+x ${at('closed')}`;
  assert.ok((await check()).includes(advice));
  const { code, stderr } = await run(launcher, ['serve', at('config.yml')], { env });
  assert.equal(code, 1);
  assert.ok(stderr.includes(advice), stderr);
  await run('sh', ['-c', advice]);
  assert.doesNotMatch(await check(), /rootdirectory/);
  // There already, and to be given to them as it is.
  await mkdir(at('closed/below/root'), { recursive: true });
  await chmod(at('closed/below/root'), 0o700);
  assert.doesNotMatch(await check(), /rootdirectory/);
  await chmod(at('closed/below/root'), 0o500);
  const opening = `chmod u+rwx ${at('closed/below/root')}`;
  assert.ok((await check()).includes(opening));
  await run('sh', ['-c', opening]);
  assert.doesNotMatch(await check(), /rootdirectory/);
});

test('a tree that its own user may not write to is told with what helps', {
  skip: process.getuid?.() !== 0,
}, async (t) => {
  const { at, check, remove } = await configured('owner');
  t.after(remove);
  const tree = at('root/docker/registry/v2');
  await mkdir(tree, { recursive: true });
  for (const path of ['root', 'root/docker', 'root/docker/registry', 'root/docker/registry/v2'])
    await chown(at(path), 4321, 4322);
  const byOwner = async () => {
    const words = ['--reuid=4321', '--regid=4322', '--clear-groups', launcher, 'config', 'check'];
    return (await run('setpriv', [...words, '-q', at('config.yml')], { env })).stderr;
  };
  for (const [path, mode, advice] of [
    [tree, 0o500, `chmod u+rwx ${tree}`],
    [at('root/docker'), 0o600, `chmod u+x ${at('root/docker')}`],
  ] as const) {
    await chmod(path, mode);
    const told = await check();
    assert.ok(told.includes(advice), told);
    assert.ok((await byOwner()).includes(advice));
    await run('sh', ['-c', advice]);
    assert.doesNotMatch(await check(), /rootdirectory/);
  }
  // To enter a root directory of somebody else's is not enough.
  await chown(at('root'), 0, 0);
  await chmod(at('root'), 0o700);
  assert.ok((await byOwner()).includes(`chown -R 4321:4322 ${at('root')}`));
});
