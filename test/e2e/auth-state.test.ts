import assert from 'node:assert/strict';
import { chmod, mkdir, readFile, rm, rmdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { mustRun, run } from '../support/run.ts';
import { launcher } from '../support/stack.ts';
import { createTemporaryFolder } from '../support/temporary-folder.ts';

test('config check looks into the state of the token service as its start does', async () => {
  await using folder = await createTemporaryFolder();
  const config = join(folder.path, 'config.yml');
  const state = join(folder.path, 'state');
  const htpasswd = join(folder.path, 'htpasswd');
  await mustRun(launcher, ['user', 'add', '--file', htpasswd, 'bob'], { input: 'a good password' });
  await writeFile(
    config,
    `version: 0.1
storage: { inmemory: {} }
http: { addr: "127.0.0.1:0" }
auth: { htpasswd: { realm: x, path: ${htpasswd} } }
portcullis: { auth: { state: ${state} } }
`,
  );
  await mustRun(launcher, ['keys', 'create', '--state', state]);
  const check = () => run(launcher, ['config', 'check', '-q', config]);
  assert.equal((await check()).code, 0);
  // Without these a start goes on.
  for (const name of ['known-logins.json', 'robots-used.yml', 'keys/other.key']) {
    await mkdir(join(state, name));
    assert.equal((await check()).code, 0, name);
    await rmdir(join(state, name));
  }
  for (const [name, expected] of [
    ['keys/first.pem', /the signing key .*first\.pem cannot be used: it holds no private key/],
    ['keys/identity.key', /identity\.key is not 64 hexadecimal digits/],
    ['robots.yml', /robots\.yml cannot be used/],
    ['revoked.yml', /revoked\.yml cannot be used: .*; remove it to start anew/],
    ['voided.yml', /voided\.yml cannot be used/],
    ['rehashed.json', /rehashed\.json cannot be used: .*; remove it to start anew/],
  ] as const) {
    const path = join(state, name);
    const before = await readFile(path).catch(() => undefined);
    await writeFile(path, '- [');
    const { code, stderr } = await check();
    assert.equal(code, 1, name);
    assert.match(stderr, expected);
    if (before === undefined) await rm(path);
    else await writeFile(path, before);
  }
  await rm(join(state, 'keys/first.pem'));
  const secret = join(state, 'keys/identity.key');
  const good = await readFile(secret);
  await writeFile(secret, 'x');
  assert.match(
    (await check()).stderr,
    /identity\.key is not 64 hexadecimal digits/,
    'without a key',
  );
  await writeFile(secret, good);
  const shared = `${await readFile(config, 'utf8')}redis: { addr: "127.0.0.1:1" }\n`.replace(
    'auth: { state',
    'gateway: { auth: ["http://127.0.0.1:1"] }, auth: { listen: "127.0.0.1:1", state',
  );
  await writeFile(config, shared.replace('http: {', 'http: { secret: 0123456789abcdef,'));
  assert.match((await check()).stderr, /holds no signing key, and several token services must/);
});

describe('config check by root, of a state folder of another user', {
  skip: process.getuid?.() !== 0 && 'only root becomes another user',
}, () => {
  const [uid, gid] = [4321, 4322];

  async function prepare(dir: string) {
    const config = join(dir, 'config.yml');
    const state = join(dir, 'state');
    const htpasswd = join(dir, 'htpasswd');
    const input = 'a good password';
    await mustRun(launcher, ['user', 'add', '--file', htpasswd, 'bob'], { input });
    const auth = `auth: { htpasswd: { realm: x, path: ${htpasswd} } }`;
    const ours = `portcullis: { auth: { state: ${state} } }`;
    const lines = ['version: 0.1', 'storage: { inmemory: {} }', auth, ours];
    await writeFile(config, `${lines.join('\n')}\n`);
    await mustRun(launcher, ['keys', 'create', '--state', state]);
    await chmod(dir, 0o755);
    await mustRun('chown', ['-R', `${uid}:${gid}`, state]);
    return { config, state };
  }

  test('follows no link of that user, and waits for no pipe', async () => {
    await using folder = await createTemporaryFolder();
    const { config, state } = await prepare(folder.path);
    const secret = join(folder.path, 'of-root');
    await writeFile(secret, 'only root may read this: 1', { mode: 0o600 });
    const robots = join(state, 'robots.yml');
    await symlink(secret, robots);
    await mustRun('chown', ['-h', `${uid}:${gid}`, robots]);
    const { stdout, stderr } = await run(launcher, ['config', 'check', config]);
    assert.doesNotMatch(stdout + stderr, /only root may read/);
    await rm(robots);
    await mustRun('mkfifo', [robots]);
    await mustRun('chown', [`${uid}:${gid}`, robots]);
    const piped = await run(launcher, ['config', 'check', '-q', config]);
    assert.match(piped.stderr, /stop: .*robots\.yml: it is not a file/);
  });

  test('says no more than who may read none of it', async () => {
    await using folder = await createTemporaryFolder();
    const { config, state } = await prepare(folder.path);
    await chmod(state, 0o755);
    const as = ['--reuid', '4323', '--regid', '4323', '--clear-groups'];
    const env = { HOME: folder.path };
    const { code, stderr } = await run(
      'setpriv',
      [...as, launcher, 'config', 'check', '-q', config],
      { env },
    );
    assert.match(stderr, /^warn: portcullis\.auth\.state: .*state was not looked at: this user/m);
    assert.doesNotMatch(stderr, /stop:/);
    assert.equal(code, 0, stderr);
  });

  test('warns where it cannot become one that decides what is in it', async () => {
    await using folder = await createTemporaryFolder();
    const { config, state } = await prepare(folder.path);
    const without = ['--bounding-set=-setuid,-setgid', '--inh-caps=-setuid,-setgid'];
    const held = await run('setpriv', [...without, launcher, 'config', 'check', '-q', config]);
    assert.match(held.stderr, /^warn: portcullis\.auth\.state: .* was not looked at: EPERM/m);
    assert.equal(held.code, 0, held.stderr);
    // Of several users root works for none.
    await mustRun('chown', ['-R', `0:${gid}`, state]);
    await chmod(state, 0o775);
    const { code, stderr } = await run(launcher, ['config', 'check', '-q', config]);
    assert.match(stderr, /^warn: .* was not looked at: others than root can change where/m);
    assert.equal(code, 0, stderr);
  });
});
