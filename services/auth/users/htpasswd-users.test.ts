import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import bcrypt from 'bcryptjs';
import { createLogger } from '#libs/log/logger.ts';
import { removeUser, replaceUser, setPassword } from '../../portcullis/htpasswd-file.ts';
import { type HtpasswdUsers, openHtpasswd } from './htpasswd-users.ts';

describe('users of an htpasswd file', () => {
  let dir: string;
  let path: string;
  let users: HtpasswdUsers | undefined;
  let lines = '';
  const log = createLogger(
    { level: 'info', format: 'text', fields: {}, process: 'test' },
    {
      write(line) {
        lines += line;
      },
    },
  );

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'portcullis-users-'));
    path = join(dir, 'htpasswd');
  });

  afterEach(async () => {
    await users?.close();
    users = undefined;
  });

  after(async () => {
    await rm(dir, { recursive: true });
  });

  const line = (name: string, password: string, prefix = '$2b$') =>
    `${name}:${bcrypt.hashSync(password, 4).replace('$2b$', prefix)}\n`;
  const open = async (text: string) => {
    await writeFile(path, text);
    users = await openHtpasswd({ path, log, onChange: async () => {} });
    return users;
  };

  const verify = async (
    opened: HtpasswdUsers,
    account: string,
    password: string,
    network = 'a network',
  ) => (await opened.verify({ account, password, network, lane: 'other' })).right;

  test('the right password, and only that, is taken, for every kind of bcrypt', async () => {
    const opened = await open(
      line('a', 'pass a', '$2a$') + line('b', 'pass b', '$2b$') + line('y', 'pass y', '$2y$'),
    );
    for (const name of ['a', 'b', 'y']) {
      assert.equal(await verify(opened, name, `pass ${name}`), true);
      assert.equal(await verify(opened, name, `pass ${name}`), true, 'again, from the cache');
      assert.equal(await verify(opened, name, 'wrong'), false);
      assert.equal(await verify(opened, name, ''), false);
    }
  });

  test('an unknown user and a password without end are refused', async () => {
    const opened = await open(line('a', 'x'));
    assert.equal(await verify(opened, 'nobody', 'x'), false);
    assert.equal(await verify(opened, '', ''), false);
    assert.equal(await verify(opened, '__proto__', 'x'), false);
    assert.equal(await verify(opened, 'a', 'x'.repeat(10_000)), false);
  });

  test('what bcrypt takes for a password is not another one, and is not compared for ever', async () => {
    const long = 'p'.repeat(72);
    const opened = await open(line('a', 'x') + line('long', long));
    const repeated = 'x\0'.repeat(36);
    assert.equal(bcrypt.compareSync(repeated, bcrypt.hashSync('x', 4)), true, 'bcrypt repeats it');
    assert.equal(await verify(opened, 'a', repeated), false);
    assert.equal(await verify(opened, 'a', 'x\0'), false);
    const asked = async (password: string) =>
      await opened.verify({ account: 'long', password, network: 'a', lane: 'other' });
    assert.deepEqual(await asked(long), { right: true, compared: true });
    for (const more of ['', 'q', 'another']) {
      assert.deepEqual(await asked(long + more), { right: true, compared: false });
    }
  });

  test('many logins at once are all answered', async () => {
    const opened = await open(line('a', 'x'));
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        verify(opened, 'a', index % 2 === 0 ? 'x' : `${index}`, `client ${index}`),
      ),
    );
    assert.deepEqual(
      answers,
      answers.map((_, index) => index % 2 === 0),
    );
  });

  test('what was compared lately is not compared again, where it was wrong for that network', async () => {
    const opened = await open(line('a', 'x'));
    const compared = async (password: string, network: string) =>
      (await opened.verify({ account: 'a', password, network, lane: 'other' })).compared;
    assert.deepEqual([await compared('x', 'here'), await compared('x', 'there')], [true, false]);
    assert.deepEqual([await compared('y', 'here'), await compared('y', 'here')], [true, false]);
    assert.equal(await compared('y', 'there'), true);
    const nobody = { account: 'nobody', password: 'x', network: 'here', lane: 'other' } as const;
    assert.equal((await opened.verify(nobody)).compared, true);
    assert.equal((await opened.verify(nobody)).compared, false);
  });

  test('every login takes the work of the costliest hash, whoever it is for', async () => {
    const costs = [4, 6, 9];
    const file = costs.map((cost) => `u${cost}:${bcrypt.hashSync('right', cost)}`);
    const opened = await open(file.join('\n'));
    const names = ['nobody', ...costs.map((cost) => `u${cost}`)];
    const times = new Map(names.map((name) => [name, [] as number[]]));
    // In turn, so that whatever else the machine does falls on all alike.
    for (let round = 0; round < 15; round += 1) {
      for (const name of names) {
        const began = performance.now();
        assert.equal(await verify(opened, name, `wrong ${round}`), false);
        times.get(name)?.push(performance.now() - began);
      }
    }
    const medians = [...times.values()].map((all) => all.sort((x, y) => x - y)[7] ?? 0);
    assert.ok(Math.max(...medians) < 2 * Math.min(...medians), medians.join());
  });

  test('another kind of hash is refused by the user’s name when the file is read', async () => {
    const opened = await open(`md5:$apr1$x$y\n${line('a', 'x')}`);
    assert.match(lines, /user \\"md5\\" is refused: the hash is not bcrypt/);
    assert.equal(await verify(opened, 'md5', 'x'), false);
    assert.equal(await verify(opened, 'a', 'x'), true);
  });

  test('a user whose line is broken on purpose is not let in by the configuration', async () => {
    const hash = bcrypt.hashSync('of the configuration', 4);
    const configured = new Map([['carol', { hash, labels: {} }]]);
    await writeFile(path, `carol:!${hash}\n`);
    const opened = await openHtpasswd({ path, configured, log, onChange: async () => {} });
    users = opened;
    assert.equal(await verify(opened, 'carol', 'of the configuration'), false);
    await writeFile(path, '# no accounts\n');
    await opened.reload();
    assert.equal(await verify(opened, 'carol', 'of the configuration'), true);
  });

  test('a changed file is taken, and the old password is not', async () => {
    const opened = await open(line('a', 'old'));
    assert.equal(await verify(opened, 'a', 'old'), true);
    await writeFile(path, line('a', 'new'));
    await opened.reload();
    assert.equal(await verify(opened, 'a', 'old'), false);
    assert.equal(await verify(opened, 'a', 'new'), true);
  });

  test('a file that is gone later leaves the users as they were', async () => {
    const opened = await open(line('a', 'x'));
    await rm(path);
    await opened.reload();
    assert.equal(await verify(opened, 'a', 'x'), true);
    assert.match(lines, /keeping the previous state/);
  });

  test('a file that is emptied, cut or overwritten by accident leaves the users as they were', async () => {
    let changes = 0;
    const onChange = async () => {
      changes += 1;
    };
    await writeFile(path, line('a', 'x'));
    users = await openHtpasswd({ path, log, onChange });
    for (const text of [
      '',
      '\n',
      '# the team\n',
      'x{{',
      'a:$apr1$x$y\n',
      `${line('b', 'y')}a:$2b$04$`,
    ]) {
      lines = '';
      await writeFile(path, text);
      await users.reload();
      assert.equal(await verify(users, 'a', 'x'), true, text);
      assert.match(lines, /keeping the previous state/);
    }
    assert.equal(changes, 1);
    await writeFile(path, `# the team\n${line('a', 'x')}`);
    await removeUser(path, 'a');
    await users.reload();
    assert.equal(await verify(users, 'a', 'x'), false, 'the last one removed by our own command');
    assert.equal(changes, 2);
    assert.equal(await readFile(path, 'utf8'), '# the team\n# no accounts\n');
    for (const add of [
      () => replaceUser(path, line('b', 'y').trim(), false),
      () => setPassword(path, 'b', 'y', 'add'),
    ]) {
      await add();
      assert.doesNotMatch(await readFile(path, 'utf8'), /no accounts/);
      await removeUser(path, 'b');
    }
    await writeFile(path, `${line('a', 'x')}c:$apr1$x$y\n`);
    await users.reload();
    await removeUser(path, 'a');
    await users.reload();
    assert.equal(await verify(users, 'a', 'x'), false, 'also beside one that cannot be used');
  });

  test('a file that is not there at the start is one clear sentence', async () => {
    await assert.rejects(
      openHtpasswd({ path: join(dir, 'absent'), log, onChange: async () => {} }),
      /absent: there is no such file; make a user with: portcullis user add/,
    );
  });

  test('line ends of Windows, comments, blanks and duplicates are read as people mean them', async () => {
    const text = [
      '# the team',
      '',
      line('bob', 'first').trim(),
      '  ',
      line('eve', 'secret').trim(),
      line('bob', 'second').trim(),
      'ann:$2y$05$short',
      'no colon',
    ].join('\r\n');
    const opened = await open(text);
    assert.deepEqual([...opened.accounts().keys()], ['bob', 'eve']);
    assert.equal(await verify(opened, 'bob', 'second'), true, 'the later line counts');
    assert.equal(await verify(opened, 'bob', 'first'), false);
    assert.match(lines, /user \\?"ann\\?" is refused/);
    assert.match(lines, /line 8 is not of the form/);
  });

  test('of fifty thousand users each can log in', async () => {
    const hash = bcrypt.hashSync('secret', 4);
    const names = Array.from({ length: 50_000 }, (_, index) => `user-${index}:${hash}`);
    const opened = await open(names.join('\n'));
    assert.equal(opened.accounts().size, 50_000);
    for (const index of [0, 25_000, 49_999]) {
      assert.equal(await verify(opened, `user-${index}`, 'secret'), true);
    }
  });
});
