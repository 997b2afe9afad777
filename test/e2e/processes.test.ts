import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startConfigured } from '../support/configured-stack.ts';
import { freePort } from '../support/free-port.ts';
import { mustRun, run } from '../support/run.ts';
import { spawn } from '../support/spawn.ts';
import { launcher, servicePids, startStack } from '../support/stack.ts';
import { waitFor } from '../support/wait-for.ts';

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

describe('starting and stopping', () => {
  let dir: string;

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'portcullis-processes-'));
  });

  after(async () => {
    await rm(dir, { recursive: true, force: true });
  });

  /** Starts what cannot start, and checks that it says why in one sentence. */
  async function failsWith(expected: RegExp, args: string[], env: Record<string, string> = {}) {
    const { code, stdout, stderr } = await run(launcher, args, { env, timeout: 60_000 });
    assert.equal(code, 1, stdout + stderr);
    assert.match(stderr, expected);
    assert.equal(stderr.trim().split('\n').length, 1, stderr);
    assert.doesNotMatch(stdout, /is ready at http/);
  }

  /** A configuration whose sections a test can spoil. */
  async function configure(name: string, sections: string): Promise<string> {
    const path = join(dir, `${name}.yml`);
    await writeFile(
      path,
      `version: 0.1\nstorage: { filesystem: { rootdirectory: ${dir}/${name} } }\n${sections}\n`,
    );
    return path;
  }

  test('a second start reuses everything and shows no password', async () => {
    const first = await startStack();
    const ca = await readFile(first.ca, 'utf8');
    assert.notEqual(first.password, '');
    assert.match(first.output(), new RegExp(`docker login -u admin localhost:${first.port}`));
    assert.match(first.output(), /Docker asks no certificate of this host/);
    const ready = [...first.output().matchAll(/msg="(\w+) is ready"/g)].map(([, name]) => name);
    assert.equal(ready.length, 3, first.output());
    assert.equal(ready.at(-1), 'gateway', 'what it needs is ready before');
    assert.equal(await first.stop('SIGINT'), 0);
    const second = await startStack({ dir: first.dir, port: first.port });
    try {
      assert.equal(second.password, '');
      assert.equal(await readFile(second.ca, 'utf8'), ca);
      const login = ['--cacert', second.ca, '--user', `admin:${first.password}`];
      assert.equal(await mustRun('curl', ['-sS', ...login, `${second.url}/v2/`]), '{}');
    } finally {
      await second.remove();
    }
  });

  test('a new name makes a new site certificate from the CA that clients have', async () => {
    const first = await startStack();
    await first.stop();
    const ca = await readFile(first.ca, 'utf8');
    const second = await startStack({ dir: first.dir, host: 'registry.example.com' });
    try {
      assert.equal(await readFile(second.ca, 'utf8'), ca);
      const trusted = `/etc/docker/certs.d/registry.example.com:${first.port}/ca.crt`;
      assert.ok(second.output().includes(trusted), second.output());
      const site = new X509Certificate(await readFile(join(second.dir, 'certs', 'site.crt')));
      for (const name of ['registry.example.com', 'localhost']) {
        assert.equal(site.checkHost(name), name);
      }
      for (const address of ['127.0.0.1', '::1']) assert.equal(site.checkIP(address), address);
      assert.ok(site.checkIssued(new X509Certificate(ca)));
    } finally {
      await second.remove();
    }
  });

  test('a child that is killed is started again, and the registry answers again', async () => {
    const stack = await startConfigured();
    try {
      for (const service of ['core', 'gateway']) {
        const [pid = 0] = await servicePids(stack.child.pid ?? 0, service);
        process.kill(pid, 'SIGKILL');
        await waitFor(`the ${service} to be back`, async () => {
          const [now] = await servicePids(stack.child.pid ?? 0, service);
          const { code } = await run('curl', ['-sf', `${stack.url}/v2/`]);
          return now !== undefined && now !== pid && code === 0;
        });
      }
      assert.match(stack.output(), /a process exited unexpectedly; restarting it.*service=core/);
      assert.match(stack.output(), /a process exited unexpectedly; restarting it.*service=gateway/);
    } finally {
      await stack.remove();
    }
  });

  test('a child that is started again acts on what the others act on, whatever the file says by now', async () => {
    const stack = await startConfigured({
      users: { admin: 'a password' },
      sections: () => ({ portcullis: { acl: [{ actions: ['pull', 'push'] }] } }),
    });
    const kill = async (service: string) => {
      const [pid = 0] = await servicePids(stack.child.pid ?? 0, service);
      process.kill(pid, 'SIGKILL');
      await waitFor(`the ${service} to be back`, async () => {
        const [now] = await servicePids(stack.child.pid ?? 0, service);
        const { code } = await run('curl', ['-s', '-m', '5', `${stack.url}/v2/`]);
        return now !== undefined && now !== pid && code === 0;
      });
    };
    const begin = () =>
      run('curl', [
        ...['-s', '-o', '/dev/null', '-w', '%{http_code}', '-X', 'POST'],
        ...['-u', 'admin:a password', `${stack.url}/v2/team/app/blobs/uploads/`],
      ]);
    const isAnswered = (status: string) =>
      waitFor(`a push to be answered ${status}`, async () => (await begin()).stdout === status);
    const path = join(stack.dir, 'config.yml');
    const written = await readFile(path, 'utf8');
    try {
      await isAnswered('202');
      // The rules are followed; the rest is not.
      await writeFile(path, written.replace('- push', '').replace(/registry$/m, 'elsewhere'));
      await isAnswered('403');
      await writeFile(path, written.replace('auth:', 'nobody:').replace(/registry$/m, 'elsewhere'));
      for (const service of ['core', 'auth', 'gateway']) await kill(service);
      await isAnswered('403');
      assert.equal((await run('curl', ['-sf', `${stack.url}/v2/`])).code, 22);
      assert.ok(!existsSync(join(stack.dir, 'elsewhere')));
      await writeFile(path, written);
      await isAnswered('202');
    } finally {
      await stack.remove();
    }
  });

  test('one process under a parent with a channel that is no supervisor checks and stops as it does alone', async () => {
    const config = await configure('forked', `http: { addr: "127.0.0.1:${await freePort()}" }`);
    const script = `
      const child = require('node:child_process').fork(process.argv[1], [process.argv[2]]);
      child.on('exit', (code) => { console.log('exit ' + code); process.exit(); });
      child.on('message', ({ type }) => console.log(type));
      process.stdin.once('data', () => child.kill('SIGINT'));
      process.stdin.once('end', () => process.exit());
    `;
    const main = join(import.meta.dirname, '../../services/core/main.ts');
    const parent = spawn(process.execPath, ['-e', script, main, config], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    let output = '';
    parent.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
    await waitFor('it to be ready', () => output.includes('core is ready'));
    parent.stdin.write('stop');
    await waitFor('it to end', () => output.includes('exit 0'));
    await writeFile(config, 'version: 0.1\nstorage: inmemory\nproxy: { remoteurl: https://x }\n');
    const { code, stderr } = await run(process.execPath, ['-e', script, main, config]);
    assert.equal(code, 0);
    assert.match(stderr, /proxy/);
  });

  test('a process whose storage is gone ends when it is told to', async () => {
    const config = await configure('gone', 'portcullis: { core: { debug: "127.0.0.1:0" } }');
    const core = spawn(launcher, ['core', config], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [core.stdout, core.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
    }
    await waitFor('it to be ready', () => output.includes('core is ready'));
    await rm(join(dir, 'gone'), { recursive: true });
    core.kill('SIGINT');
    await waitFor('it to end', () => core.exitCode !== null);
    assert.equal(core.exitCode, 1, output);
  });

  test('children end when the supervisor is killed', async () => {
    const stack = await startConfigured({ users: { admin: 'x' } });
    const pids = await Promise.all(
      ['gateway', 'auth', 'core'].map((name) => servicePids(stack.child.pid ?? 0, name)),
    );
    assert.equal(pids.flat().length, 3);
    await stack.stop('SIGKILL');
    await waitFor('the children to end', () => !pids.flat().some(isAlive));
    await stack.remove();
  });

  test('a stop in the middle of the start ends everything', async () => {
    const config = await configure('early', 'http: { addr: "127.0.0.1:0" }');
    for (const line of ['core is ready', 'core is ready', 'gateway is ready']) {
      const child = spawn(launcher, [config], { stdio: ['ignore', 'pipe', 'inherit'] });
      let output = '';
      child.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
      await waitFor(line, () => output.includes(line));
      child.kill('SIGTERM');
      await waitFor('the end', () => child.exitCode !== null);
      assert.equal(child.exitCode, 0);
    }
    assert.equal((await run('pgrep', ['-f', config])).stdout, '');
  });

  test('a changed configuration is named as not in force when it is edited, and when files are reloaded', async () => {
    const stack = await startConfigured({ users: { admin: 'x' } });
    const warnings = () =>
      stack.output().split('changed, effective after a restart: catalog').length - 1;
    try {
      const config = join(stack.dir, 'config.yml');
      await writeFile(config, `${await readFile(config, 'utf8')}catalog: { maxentries: 5 }\n`);
      await waitFor('the warning', () => warnings() === 1);
      stack.child.kill('SIGHUP');
      await waitFor('the second warning', () => warnings() === 2);
    } finally {
      await stack.remove();
    }
  });

  test('a port in use is one clear sentence, and nothing keeps running', async () => {
    const port = await freePort();
    const squatter = createServer();
    await new Promise<void>((resolve) => squatter.listen(port, '127.0.0.1', resolve));
    try {
      const config = await configure('busy', `http: { addr: "127.0.0.1:${port}" }`);
      await failsWith(/127\.0\.0\.1:\d+ is already in use by another process/, [config]);
    } finally {
      squatter.close();
    }
    const { stdout } = await run('pgrep', ['-f', join(dir, 'busy.yml')]);
    assert.equal(stdout, '');
  });

  test('starting the same registry twice is one clear sentence, and the first goes on', async () => {
    const stack = await startConfigured({ users: { admin: 'secret' } });
    try {
      await failsWith(/127\.0\.0\.1:\d+ is already in use by another process/, [
        join(stack.dir, 'config.yml'),
      ]);
      const login = ['--user', 'admin:secret'];
      assert.equal(await mustRun('curl', ['-sS', ...login, `${stack.url}/v2/`]), '{}');
    } finally {
      await stack.remove();
    }
  });

  test('a missing or useless key is one clear sentence', async () => {
    const http = (key: string) =>
      `http: { addr: "127.0.0.1:0", tls: { certificate: ${dir}/x.crt, key: ${key} } }`;
    await failsWith(/http\.tls\.certificate: .*x\.crt: there is no such file/, [
      await configure('nokey', http(`${dir}/x.key`)),
    ]);
    await writeFile(join(dir, 'x.crt'), 'no certificate');
    await writeFile(join(dir, 'x.key'), 'no key');
    await failsWith(/http\.tls: .* cannot be used/, [
      await configure('badkey', http(`${dir}/x.key`)),
    ]);
  });

  test('a wrong configuration is one clear sentence', async () => {
    await failsWith(/there is no such file/, [join(dir, 'absent.yml')]);
    await failsWith(/yaml\.yml: line \d+: /, [await configure('yaml', 'http: { addr: [')]);
    await failsWith(/http\.draintimeout: .*not a duration/, [
      await configure('duration', 'http: { draintimeout: soon }'),
    ]);
    await failsWith(
      /storage\.s3: the s3 driver is not built yet/,
      [await configure('drivers', '')],
      { REGISTRY_STORAGE: '{"s3": {"bucket": "x"}}' },
    );
    await failsWith(/auth\.htpasswd\.path: .*: there is no such file/, [
      await configure('nobody', `auth: { htpasswd: { realm: x, path: ${dir}/no-such-htpasswd } }`),
    ]);
  });

  test('a data folder that cannot be written is one clear sentence', async () => {
    const root = join(dir, 'readonly');
    await mkdir(root);
    await mustRun('mount', ['-t', 'tmpfs', '-o', 'ro', 'tmpfs', root]);
    try {
      await failsWith(/rootdirectory: .*readonly: the filesystem is read-only/, [
        await configure('readonly', 'http: { addr: "127.0.0.1:0" }'),
      ]);
    } finally {
      await mustRun('umount', [root]);
    }
  });

  test('REGISTRY_* variables are enough, with TLS and htpasswd', async () => {
    const certificates = join(dir, 'env-certs');
    await mustRun(launcher, ['certs', certificates, 'localhost']);
    const htpasswd = join(dir, 'env-htpasswd');
    await mustRun('htpasswd', ['-Bbc', htpasswd, 'testuser', 'testpassword']);
    const port = await freePort();
    const stack = await startStack({
      dir,
      port,
      args: ['serve'],
      env: {
        REGISTRY_AUTH: 'htpasswd',
        REGISTRY_AUTH_HTPASSWD_REALM: 'Registry Realm',
        REGISTRY_AUTH_HTPASSWD_PATH: htpasswd,
        REGISTRY_HTTP_ADDR: `:${port}`,
        REGISTRY_HTTP_TLS_CERTIFICATE: join(certificates, 'site.crt'),
        REGISTRY_HTTP_TLS_KEY: join(certificates, 'site.key'),
        REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: join(dir, 'env-registry'),
      },
    });
    try {
      const curl = (...args: string[]) =>
        mustRun('curl', ['-sS', '--cacert', join(certificates, 'ca.crt'), ...args]);
      assert.equal(
        await curl('--user', 'testuser:testpassword', `${stack.url}/v2/_catalog`),
        '{"repositories":[]}',
      );
      assert.match(await curl(`${stack.url}/v2/_catalog`), /UNAUTHORIZED/);
    } finally {
      await stack.stop();
    }
  });

  test('the command line helps, and refuses what it does not know', async () => {
    for (const args of [['--help'], ['serve', '--help'], ['user', '-h'], ['core', '--help'], []]) {
      assert.match(await mustRun(launcher, args), /^Usage: portcullis /);
    }
    assert.match(await mustRun(launcher, ['--version']), /^portcullis \d+\.\d+\.\d+\n$/);
    const unknown = await run(launcher, ['launch']);
    assert.equal(unknown.code, 2);
    assert.match(unknown.stderr, /unknown command 'launch'/);
    for (const command of ['garbage-collect', 'fsck']) {
      const helped = await run(launcher, [command, '--help']);
      assert.equal(helped.code, 0);
      assert.match(helped.stdout, new RegExp(`Usage: portcullis ${command} `));
      const without = await run(launcher, [command], { cwd: dir });
      assert.equal(without.code, 2);
      assert.match(without.stderr, /no registry runs in this folder; name the one/);
      const absent = await run(launcher, [command, 'absent.yml']);
      assert.equal(absent.code, 1);
      assert.match(absent.stderr, /absent\.yml: there is no such file/);
    }
    const asArgument = await run(launcher, ['user', 'add', '--file', join(dir, 'h'), 'bob', 'pw']);
    assert.equal(asArgument.code, 2);
    assert.match(asArgument.stderr, /a password is never an argument/);
  });

  test('config check shows what is in effect, with secrets starred, and what is not supported', async () => {
    const config = await configure(
      'check',
      'http: { secret: very-secret }\nthreshold: 3\nlog: { fromatter: text }\nreporting: { newrelic: { name: x } }',
    );
    const { code, stdout, stderr } = await run(launcher, ['config', 'check', config]);
    assert.equal(code, 0);
    assert.doesNotMatch(stdout + stderr, /very-secret/);
    assert.match(stdout, /secret: "\*\*\*"|secret: '\*\*\*'|secret: \*\*\*/);
    assert.match(stderr, /warn: threshold: unknown key/);
    assert.match(stderr, /warn: log\.fromatter: unknown key/);
    assert.match(stderr, /warn: reporting: /);
  });

  test('an output that nobody reads to its end is no error, and one that cannot be written is', async () => {
    for (const command of ['--help', 'config check /dev/null', 'keys list /tmp']) {
      const { code, stderr } = await run('bash', [
        '-c',
        `${launcher} ${command} 2> >(cat >&2) | true; exit \${PIPESTATUS[0]}`,
      ]);
      assert.ok(code !== null && code < 3, `${command}: ${code}`);
      assert.doesNotMatch(stderr, /EPIPE|at /, command);
    }
    const full = await run('bash', ['-c', `${launcher} --help > /dev/full`]);
    assert.equal(full.code, 1);
    assert.match(full.stderr, /^portcullis: the output cannot be written: .*ENOSPC.*\n$/);
  });
});
