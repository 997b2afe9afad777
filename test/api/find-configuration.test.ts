import assert from 'node:assert/strict';
import { chmod, chown, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { stringify } from 'yaml';
import { run } from '../support/run.ts';
import { spawn } from '../support/spawn.ts';
import { launcher } from '../support/stack.ts';
import { createTemporaryFolder, type TemporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';

const noneNamed = { PORTCULLIS_CONFIG: '', REGISTRY_CONFIGURATION_PATH: '' };

describe('a command that is not told which registry it is about', () => {
  let folder: TemporaryFolder;
  let here: string;
  let children: ReturnType<typeof spawn>[];

  beforeEach(async () => {
    folder = await createTemporaryFolder();
    here = join(folder.path, 'here');
    await mkdir(here);
    children = [];
  });

  afterEach(async () => {
    for (const child of children) child.kill('SIGKILL');
    await folder.remove();
  });

  /** @returns the path of a configuration whose only user has the name */
  async function configure(dir: string, user: string): Promise<string> {
    await mkdir(dir, { recursive: true });
    const htpasswd = join(dir, 'htpasswd');
    const hash = '$2y$05$abcdefghijklmnopqrstuuJlkM6mB6WXaqwWMTZJqpJuSMkh3Y3He';
    await writeFile(htpasswd, `${user}:${hash}\n`);
    const config = join(dir, 'config.yml');
    const auth = { htpasswd: { realm: 'x', path: htpasswd } };
    const sockets = join(dir, 'sockets');
    await writeFile(
      config,
      stringify({ version: '0.1', storage: 'inmemory', auth, portcullis: { sockets } }),
    );
    return config;
  }

  /** @returns the path of a configuration of a core that needs nobody else */
  async function configureOpen(dir: string): Promise<string> {
    await mkdir(dir, { recursive: true });
    const config = join(dir, 'config.yml');
    const sockets = join(dir, 'sockets');
    await writeFile(
      config,
      stringify({ version: '0.1', storage: 'inmemory', portcullis: { sockets } }),
    );
    return config;
  }

  const list = (env = {}) =>
    run(launcher, ['user', 'list', '--quiet'], {
      cwd: here,
      env: { ...noneNamed, ...env },
    });

  /** Something that looks like a core of ours, and does nothing. */
  async function pretend(
    config: string,
    options: { uid?: number; env?: NodeJS.ProcessEnv } = {},
  ): Promise<void> {
    const words = ['-e', 'setTimeout(() => {}, 60000)', '/opt/services/core/main.ts', config];
    const child = spawn(process.execPath, words, { cwd: here, stdio: 'ignore', ...options });
    children.push(child);
    await waitFor('it to run', async () => {
      const path = `/proc/${child.pid}/cmdline`;
      return (await readFile(path, 'utf8').catch(() => '')).includes(words[2] ?? '');
    });
  }

  test('takes none that it could find by itself', async () => {
    const { code, stderr } = await list();
    assert.equal(code, 2);
    assert.match(
      stderr,
      /^portcullis: no registry runs in this folder; name the one.*--config FILE/,
    );
    await configure(join(here, 'data'), 'ann');
    assert.match((await list()).stderr, /--config data\/config\.yml or PORTCULLIS_CONFIG/);
  });

  test('takes the one that the environment names, our own variable first', async () => {
    const [ours, theirs] = await Promise.all(
      ['ours', 'theirs'].map((name) => configure(join(folder.path, name), name)),
    );
    const env = { REGISTRY_CONFIGURATION_PATH: theirs };
    const second = await list(env);
    assert.deepEqual([second.code, second.stdout], [0, 'theirs\n']);
    const first = await list({ ...env, PORTCULLIS_CONFIG: ours });
    assert.equal(first.stdout, 'ours\n');
    assert.equal(first.stderr, `using ${ours}, which PORTCULLIS_CONFIG names\n`);
  });

  test('takes the one that runs in its folder, and says which', async () => {
    const config = await configure(join(folder.path, 'elsewhere'), 'ann');
    const relative = '../elsewhere/config.yml';
    children.push(spawn(launcher, ['core', relative], { cwd: here, stdio: 'ignore' }));
    const found = await waitFor('the core', async () => {
      const answer = await list();
      return answer.code === 0 && answer;
    });
    assert.equal(found.stdout, 'ann\n');
    assert.equal(found.stderr, `using ${config} of the running registry\n`);
    const checked = await run(launcher, ['config', 'check'], { cwd: here, env: noneNamed });
    assert.match(checked.stderr, new RegExp(`^using ${config} of the running registry$`, 'm'));
    assert.match(checked.stdout, new RegExp(`^# ${config}, `));
    const health = await run(launcher, ['health'], { cwd: folder.path });
    assert.doesNotMatch(health.stderr, /no such file/, 'it was named from its own folder');
  });

  test('takes the variables as well that it was started with, and not its own', async () => {
    const config = await configure(join(here, 'first'), 'ann');
    const other = join(await configure(join(folder.path, 'other'), 'bob'), '../htpasswd');
    await pretend(config, { env: { ...process.env, REGISTRY_AUTH_HTPASSWD_PATH: other } });
    const { stdout, stderr } = await list({ REGISTRY_AUTH_HTPASSWD_PATH: '/nowhere' });
    assert.equal(stdout, 'bob\n');
    assert.equal(
      stderr,
      `using ${config} and its REGISTRY_AUTH_HTPASSWD_PATH of the running registry\n`,
    );
  });

  test('takes the file that the environment of what runs names', async () => {
    const config = await configure(join(here, 'named'), 'ann');
    const words = ['-e', 'setTimeout(() => {}, 60000)', '/opt/services/core/main.ts'];
    const env = { ...process.env, PORTCULLIS_CONFIG: config };
    const child = spawn(process.execPath, words, { cwd: here, stdio: 'ignore', env });
    children.push(child);
    const found = await waitFor('it to be seen', async () => {
      const answer = await list();
      return answer.code === 0 && answer;
    });
    assert.equal(found.stdout, 'ann\n');
    assert.equal(found.stderr, `using ${config} of the running registry\n`);
  });

  test('chooses among several only where it is told', async () => {
    const first = await configure(join(here, 'first'), 'ann');
    const second = await configure(join(here, 'second'), 'bob');
    await pretend(first);
    assert.equal((await list()).stdout, 'ann\n');
    await pretend(second);
    const { code, stderr } = await list();
    assert.equal(code, 2);
    assert.match(stderr, /several registries run here \(.*first.*second|second.*first/);
    assert.equal((await list({ PORTCULLIS_CONFIG: second })).stdout, 'bob\n');
  });

  test('asks none for its health but the one that is meant', async () => {
    const env = { PORTCULLIS_CONFIG: '', REGISTRY_CONFIGURATION_PATH: '' };
    const elsewhere = join(folder.path, 'elsewhere');
    const config = await configureOpen(elsewhere);
    const core = spawn(launcher, ['core', config], { cwd: elsewhere, stdio: 'ignore' });
    children.push(core);
    const health = (cwd: string, more: Record<string, string> = {}, ...args: string[]) =>
      run(launcher, ['health', ...args], { cwd, env: { ...env, ...more } });
    const isReady = await waitFor('the core', async () => {
      const answer = await health(elsewhere);
      return answer.code === 0 && answer;
    });
    assert.equal(isReady.stdout, 'core is ready\n');
    assert.equal((await health(elsewhere, {}, '--alive')).stdout, 'core answers\n');
    assert.equal((await health(here, { PORTCULLIS_CONFIG: config })).stdout, 'core is ready\n');
    const nothing = await health(here);
    assert.equal(nothing.code, 1);
    assert.match(nothing.stderr, /no registry runs in this folder/);
    assert.equal((await health(here, {}, '--alive')).code, 0);
    const down = await configureOpen(join(folder.path, 'down'));
    const other = await health(elsewhere, { PORTCULLIS_CONFIG: down });
    assert.equal(other.code, 1);
    assert.match(other.stderr, /gateway does not answer/);
  });

  test('believes no program that runs with the rights of its file’s owner', {
    skip: process.getuid?.() !== 0,
  }, async () => {
    await chmod(folder.path, 0o755);
    const config = await configure(join(here, 'theirs'), 'eve');
    const program = join(folder.path, 'setuid');
    await copyFile('/usr/bin/perl', program);
    await chmod(program, 0o4755);
    const run = (perl: string, before = '') =>
      `${before} exec {'${perl}'} 'node', '-e', 'sleep 60', '/x/services/core/main.ts', '${config}'`;
    const ways = [run('/usr/bin/perl', '$< = 65534;'), run(program)];
    for (const way of ways) {
      const child = spawn('/usr/bin/perl', ['-e', way], { cwd: here, stdio: 'ignore' });
      children.push(child);
      await waitFor('it to look like ours', async () => {
        const words = await readFile(`/proc/${child.pid}/cmdline`, 'utf8').catch(() => '');
        return words.startsWith('node\0');
      });
      const { code, stderr } = await list();
      assert.equal(code, 2, stderr);
      child.kill('SIGKILL');
    }
  });

  test('takes none of root whose configuration somebody else can change', {
    skip: process.getuid?.() !== 0,
  }, async () => {
    const theirs = join(here, 'theirs');
    const config = await configure(theirs, 'eve');
    await pretend(config);
    assert.equal((await list()).code, 0);
    await chown(config, 65_534, 65_534);
    const own = await list();
    assert.equal(own.code, 2);
    assert.match(own.stderr, /config\.yml, which others than root can change; name it by --config/);
    await chown(config, 0, 0);
    await chown(theirs, 65_534, 65_534);
    const folder = await list();
    assert.equal(folder.code, 2);
    assert.match(folder.stderr, /where others than root can change .*theirs; name it by --config/);
  });

  test('believes no process of another user', { skip: process.getuid?.() !== 0 }, async () => {
    await chmod(folder.path, 0o755);
    await pretend(await configure(join(here, 'theirs'), 'eve'), { uid: 65_534 });
    const { code, stderr } = await list();
    assert.equal(code, 2, stderr);
    assert.match(stderr, /no registry of this user .*\(nobody has a registry on this machine; if/);
    const health = await run(launcher, ['health'], { cwd: here, env: noneNamed });
    assert.equal(health.code, 1);
    assert.match(health.stderr, /\(nobody has a registry on this machine; if/);
    const elsewhere = await run(launcher, ['health'], { cwd: '/usr', env: noneNamed });
    assert.match(elsewhere.stderr, /no registry runs in this folder; name the one/);
  });

  test('believes the supervisor, and not what one of its processes became as another user', {
    skip: process.getuid?.() !== 0,
  }, async () => {
    await chmod(folder.path, 0o755);
    const config = await configure(join(here, 'ours'), 'ann');
    const theirs = await configure(join(here, 'theirs'), 'eve');
    const script = `
      require('node:child_process').spawn(process.execPath,
        ['-e', 'setTimeout(() => {}, 60000)', '/opt/services/gateway/main.ts', process.env.THEIRS],
        { uid: 65534, gid: 65534, stdio: 'ignore',
          env: { ...process.env, REGISTRY_AUTH_HTPASSWD_PATH: '/theirs' } });
      setTimeout(() => {}, 60000);`;
    const words = ['-e', script, '/opt/services/portcullis/main.ts', 'serve', config];
    const env = { ...process.env, THEIRS: theirs };
    // A group of its own, so that its child ends with it.
    const child = spawn(process.execPath, words, {
      cwd: here,
      stdio: 'ignore',
      env,
      detached: true,
    });
    try {
      const found = await waitFor('its child to be seen', async () => {
        const answer = await list();
        return answer.code === 0 && answer;
      });
      assert.equal(found.stdout, 'ann\n');
      assert.equal(found.stderr, `using ${config} of the running registry\n`);
    } finally {
      process.kill(-(child.pid ?? 0), 'SIGKILL');
    }
  });
});
