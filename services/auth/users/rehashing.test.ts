import assert from 'node:assert/strict';
import { chmod, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import bcrypt from 'bcryptjs';
import { parseHtpasswd } from '#libs/auth/htpasswd.ts';
import { costOf } from '#libs/values/account.ts';
import { createRecordingLog } from '../../../test/support/recording-log.ts';
import { createTemporaryFolder } from '../../../test/support/temporary-folder.ts';
import { createIdentityTokens } from '../identities/identity-tokens.ts';
import { openRevocations } from '../revocations.ts';
import { openHtpasswd } from './htpasswd-users.ts';
import { openSecretHistory } from './secret-history.ts';

const secret = Buffer.alloc(32, 7);

/** Users of a file whose hashes are made anew when it is closed, and what is bound to their secrets. */
async function start(lines: readonly string[], mode: 'auto' | 'on' = 'on') {
  const folder = await createTemporaryFolder();
  const path = join(folder.path, 'htpasswd');
  await writeFile(path, `${lines.join('\n')}\n`);
  const { log, messages } = createRecordingLog();
  const history = await openSecretHistory(join(folder.path, 'rehashed.json'), secret);
  const revocations = await openRevocations({ stateFolder: folder.path, history, log });
  const onChange = (accounts: ReadonlyMap<string, string>) => revocations.follow(accounts);
  const open = (delay: number) =>
    openHtpasswd({ path, log, onChange, rehash: { mode, history, delay } });
  const users = await open(60_000);
  return {
    path,
    users,
    open,
    history,
    revocations,
    messages,
    login: (account: string, password: string) =>
      users.verify({ account, password, network: 'here', lane: 'other' }),
    costs: async () =>
      Object.fromEntries(
        [...parseHtpasswd(await readFile(path, 'utf8')).accounts].map(([name, hash]) => [
          name,
          costOf(hash),
        ]),
      ),
    async [Symbol.asyncDispose]() {
      await users.close();
      revocations.close();
      await folder.remove();
    },
  };
}

const hash = (password: string, cost: number) => bcrypt.hashSync(password, cost);

test('a cheap hash is made anew when its password was right; all else stays letter by letter', async () => {
  const eve = hash('eve', 4);
  await using one = await start(['# team', `bob:${hash('bob', 4)}:Bob`, `eve:${eve}`]);
  assert.deepEqual(await one.login('bob', 'bob'), { right: true, compared: true });
  assert.equal((await one.login('eve', 'wrong')).right, false);
  await one.users.close();
  assert.deepEqual(await one.costs(), { bob: 10, eve: 4 });
  const text = await readFile(one.path, 'utf8');
  assert.match(text, /^# team\nbob:\$2y\$10\$[^:]+:Bob\neve:/);
  assert.ok(text.includes(eve));
  assert.ok(bcrypt.compareSync('bob', parseHtpasswd(text).accounts.get('bob') ?? ''));
});

test('tokens that were issued before go on, and identity tokens too', async () => {
  await using one = await start([`bob:${hash('bob', 4)}`, `eve:${hash('eve', 5)}`]);
  const form = () => one.users.accounts().get('bob') ?? '';
  const tokens = createIdentityTokens(secret, 'us', 60_000, one.history);
  const claim = await tokens.read(await tokens.issue('bob', form(), 'registry'), 'registry');
  assert.ok(claim);
  const before = form();
  await one.login('bob', 'bob');
  await one.users.close();
  const again = await one.open(60_000);
  try {
    const after = again.accounts().get('bob') ?? '';
    assert.notEqual(after, before);
    assert.equal(one.revocations.notBefore('bob'), undefined);
    assert.ok(tokens.fits(claim, after), 'an identity token of the old hash fits the new one');
    const fresh = await openSecretHistory(join(one.path, '../rehashed.json'), secret);
    const others = createIdentityTokens(secret, 'us', 60_000, fresh);
    assert.ok(others.fits(claim, after), 'also after a restart');
    // A tool that writes its old hash again has not changed the password.
    await writeFile(one.path, `bob:${before}\n`);
    await again.reload();
    assert.equal(one.revocations.notBefore('bob'), undefined);
    assert.ok(one.revocations.notBefore('eve') !== undefined, 'who is gone is');
    await writeFile(one.path, `bob:${hash('another', 10)}\n`);
    await again.reload();
    assert.ok(one.revocations.notBefore('bob') !== undefined, 'another password voids');
    assert.equal(tokens.fits(claim, again.accounts().get('bob') ?? ''), false);
  } finally {
    await again.close();
  }
});

test('a file that somebody is changing is left to them', async () => {
  await using one = await start([`bob:${hash('bob', 4)}`, `eve:${hash('eve', 4)}`]);
  await one.login('bob', 'bob');
  const half = `bob:${one.users.accounts().get('bob')}\n`;
  await writeFile(one.path, half);
  await one.users.close();
  assert.equal(await readFile(one.path, 'utf8'), half);
});

test('a link, a file that cannot be written and one of root are left as they are', async () => {
  for (const spoil of ['link', 'auto'] as const) {
    await using one = await start([`bob:${hash('bob', 4)}`], spoil === 'auto' ? 'auto' : 'on');
    // Whoever runs this as another user than root has its own file, which auto may change.
    if (spoil === 'auto' && process.geteuid?.() !== 0) continue;
    let path = one.path;
    let { users } = one;
    if (spoil === 'link') {
      path = `${one.path}.link`;
      await symlink(one.path, path);
      const { log } = createRecordingLog();
      users = await openHtpasswd({
        path,
        log,
        onChange: async () => {},
        rehash: { mode: 'on', history: one.history },
      });
    }
    await users.verify({ account: 'bob', password: 'bob', network: 'here', lane: 'other' });
    await users.close();
    assert.deepEqual(await one.costs(), { bob: 4 }, spoil);
  }
});

test('where the old hashes cannot be remembered they stay', async () => {
  await using one = await start([`bob:${hash('bob', 4)}`]);
  const { log } = createRecordingLog();
  const add = async () => {
    throw new Error('read-only');
  };
  const users = await openHtpasswd({
    path: one.path,
    log,
    onChange: async () => {},
    rehash: { mode: 'on', history: { add } },
  });
  await users.verify({ account: 'bob', password: 'bob', network: 'here', lane: 'other' });
  await users.close();
  assert.deepEqual(await one.costs(), { bob: 4 });
  await chmod(one.path, 0o600);
});
