import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import bcrypt from 'bcryptjs';
import { createLogger } from '#libs/log/logger.ts';
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

  const verify = (opened: HtpasswdUsers, account: string, password: string, client = 'a client') =>
    opened.verify(account, password, client);

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

  test('one client with many guesses is told to wait, others are not', async () => {
    const opened = await open(line('a', 'x'));
    const guesses = await Promise.allSettled(
      Array.from({ length: 40 }, (_, index) => verify(opened, 'a', `${index}`, 'guesser')),
    );
    const refused = guesses.filter(({ status }) => status === 'rejected');
    assert.equal(refused.length, 24);
    assert.equal(await verify(opened, 'a', 'x', 'somebody else'), true);
    assert.equal(await verify(opened, 'a', 'x', 'guesser'), true);
  });

  test('another kind of hash is refused by the user’s name when the file is read', async () => {
    const opened = await open(`md5:$apr1$x$y\n${line('a', 'x')}`);
    assert.match(lines, /user \\"md5\\" is refused: the hash is not bcrypt/);
    assert.equal(await verify(opened, 'md5', 'x'), false);
    assert.equal(await verify(opened, 'a', 'x'), true);
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
    assert.match(lines, /the old state stays/);
  });

  test('a file that is not there at the start is one clear sentence', async () => {
    await assert.rejects(
      openHtpasswd({ path: join(dir, 'absent'), log, onChange: async () => {} }),
      /absent does not exist; make a user with: portcullis user add/,
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
