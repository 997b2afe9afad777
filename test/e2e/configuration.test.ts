import assert from 'node:assert/strict';
import {
  chmod,
  chown,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { stringify } from 'yaml';
import { startConfigured } from '../support/configured-stack.ts';
import { freePort } from '../support/free-port.ts';
import { mustRun, run } from '../support/run.ts';
import { launcher, type Stack, startStack } from '../support/stack.ts';
import { createTemporaryFolder } from '../support/temporary-folder.ts';

/** Everything below a folder, by its path. */
async function contentsOf(dir: string): Promise<string[]> {
  return (await readdir(dir, { recursive: true })).sort();
}

/** Something else that listens on a port. */
async function occupy(port: number): Promise<AsyncDisposable> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, resolve));
  return {
    async [Symbol.asyncDispose]() {
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

describe('config check and serve give one verdict', () => {
  const users = 'auth: { htpasswd: { path: DIR/htpasswd } }';
  const withRule = (rule: string) => `${users}\nportcullis: { acl: [${rule}] }`;
  const refused: readonly [lines: string, problem: RegExp][] = [
    [withRule('{ actions: [pul] }'), /actions: "pul" is not an action; did you mean pull\?/],
    [withRule('{ match: { account: "@x" }, actions: [pull] }'), /there is no group "x"/],
    [withRule('{ match: { ip: 10.0.0.0/ }, actions: [pull] }'), /"10\.0\.0\.0\/" is neither/],
    [withRule('{ match: { name: "/^($/" }, actions: [pull] }'), /portcullis\.acl\[0\]: /],
    ['portcullis: { gateway: { trustedproxies: 10.0.0.0/ } }', /trustedproxies/],
    ['portcullis: { acl: }', /portcullis\.acl: is empty/],
    [
      'auth: { htpasswd: { path: DIR/nobody } }',
      /auth\.htpasswd\.path: .*nobody: there is no such file/,
    ],
    [
      'http: { addr: "127.0.0.1:0", tls: { certificate: DIR/x, key: DIR/y } }',
      /http\.tls\.certificate: .*no such file/,
    ],
    [
      `${users}\nportcullis: { auth: { state: /proc/x } }`,
      /portcullis\.auth\.state: \/proc\/x cannot be made/,
    ],
    ['storage: { s3: { bucket: x } }', /the s3 driver is not built yet/],
    [
      'redis: { addr: x, tls: { rootcas: DIR/ca } }',
      /redis\.tls\.rootcas: .*ca: there is no such file/,
    ],
  ];
  for (const [lines, problem] of refused) {
    test(lines.replace('\n', ' '), async () => {
      await using folder = await createTemporaryFolder();
      const config = join(folder.path, 'config.yml');
      await writeFile(join(folder.path, 'htpasswd'), '# no accounts\n');
      const others = [
        `storage: { filesystem: { rootdirectory: ${folder.path}/registry } }`,
        'http: { addr: "127.0.0.1:0" }',
      ].filter((section) => section.split(':')[0] !== lines.split(':')[0]);
      const sections = ['version: 0.1', ...others, lines.replaceAll('DIR', folder.path), ''];
      await writeFile(config, sections.join('\n'));
      const before = await contentsOf(folder.path);
      for (const args of [
        ['config', 'check', config],
        ['serve', config],
      ] as const) {
        const { code, stderr } = await run(launcher, args);
        assert.equal(code, 1, args[0]);
        assert.match(stderr, problem);
        assert.equal(stderr.trim().split('\n').length, 1, stderr);
        assert.deepEqual(await contentsOf(folder.path), before, 'nothing is left');
      }
    });
  }

  test('config check tells of a host that only another machine may know', async () => {
    await using folder = await createTemporaryFolder();
    const config = join(folder.path, 'config.yml');
    await writeFile(
      config,
      `version: 0.1\nstorage: inmemory\nhttp: { addr: "nowhere.invalid:5000" }\n`,
    );
    const check = await run(launcher, ['config', 'check', config]);
    assert.equal(check.code, 0);
    assert.match(check.stderr, /warn: http\.addr: nowhere\.invalid does not resolve here/);
    const serve = await run(launcher, ['serve', config]);
    assert.equal(serve.code, 1);
    assert.match(serve.stderr, /the host of nowhere\.invalid:5000 cannot be resolved/);
  });

  test('what config check prints of a working configuration starts as it is', async () => {
    const first = await startStack();
    try {
      const config = join(first.dir, 'config.yml');
      const { code, stdout, stderr } = await run(launcher, ['config', 'check', config]);
      assert.equal(code, 0);
      assert.equal(stderr, '');
      await first.stop();
      await writeFile(config, stdout);
      const second = await startStack({ dir: first.dir, port: first.port });
      const again = await run(launcher, ['config', 'check', config]);
      assert.equal(again.stdout, stdout);
      await second.stop();
    } finally {
      await first.remove();
    }
  });
});

for (const formatter of ['json', 'logstash']) {
  test(`with log.formatter ${formatter} each line is JSON, from the start to the end`, async () => {
    const stack = await startConfigured({ sections: () => ({ log: { formatter } }) });
    await stack.stop();
    const lines = stack.output().trim().split('\n');
    for (const line of lines) assert.doesNotThrow(() => JSON.parse(line), line);
    const processes = lines.map((line) => (JSON.parse(line) as { process: string }).process);
    assert.deepEqual([...new Set(processes)].sort(), ['core', 'gateway', 'supervisor']);
    await stack.remove();
  });
}

test('quickstart makes what its configuration names, and says no more than is so', async () => {
  const folder = await createTemporaryFolder();
  const port = await freePort();
  const at = (...names: string[]) => join(folder.path, ...names);
  await mkdir(at('accounts'));
  await writeFile(
    at('config.yml'),
    stringify({
      version: '0.1',
      storage: { filesystem: { rootdirectory: at('tree') } },
      auth: { htpasswd: { realm: 'x', path: at('accounts', 'users') } },
      http: { addr: `127.0.0.1:${port}`, prefix: '/registry/' },
    }),
  );
  const stack = await startStack({ dir: folder.path, port });
  try {
    const output = stack.output();
    assert.match(output, new RegExp(`ready at http://localhost:${port}/registry `));
    assert.doesNotMatch(output, /CA cert|certs\.d/);
    assert.match(await readFile(at('accounts', 'users'), 'utf8'), /^admin:/);
    const password = /Password +(\S+)/.exec(output)?.[1] ?? '';
    const answer = await run('curl', [
      ...['-s', '-o', '/dev/null', '-w', '%{http_code}'],
      ...['-u', `admin:${password}`, `http://127.0.0.1:${port}/registry/v2/`],
    ]);
    assert.equal(answer.stdout, '200');
    const made = await readdir(folder.path);
    assert.deepEqual(
      made.filter((name) => ['certs', 'auth', 'registry'].includes(name)),
      [],
    );
  } finally {
    await stack.stop();
    await folder.remove();
  }
});

test('quickstart of root works as whoever has the folder, and follows no link of theirs', {
  skip: process.getuid?.() !== 0,
}, async () => {
  const folder = await createTemporaryFolder();
  await chmod(folder.path, 0o755);
  const theirs = join(folder.path, 'theirs');
  const [roots, secret] = [join(folder.path, 'roots'), join(folder.path, 'secret')];
  await mkdir(theirs);
  await mkdir(roots);
  await writeFile(secret, 'precious', { mode: 0o600 });
  const nobody = 65_534;
  await chown(theirs, nobody, nobody);
  const stack = await startStack({ dir: theirs });
  await stack.stop();
  try {
    assert.equal((await stat(join(theirs, 'auth', 'htpasswd'))).uid, nobody);
    await rm(join(theirs, 'auth'), { recursive: true });
    await symlink(roots, join(theirs, 'auth'));
    for (const name of ['site.key.new', 'ca.key.new']) {
      await symlink(secret, join(theirs, 'certs', name));
    }
    const args = ['quickstart', '--dir', theirs, '--host', 'other.test', '--port', `${stack.port}`];
    const { code, stdout } = await run(launcher, args);
    assert.notEqual(code, 0);
    assert.doesNotMatch(stdout, /is ready/);
    assert.equal(await readFile(secret, 'utf8'), 'precious');
    assert.deepEqual(await readdir(roots), []);
    // All is root's by now, but one folder in it.
    await rm(join(theirs, 'auth'));
    await chown(theirs, 0, 0);
    const mixed = await run(launcher, args);
    assert.equal(mixed.code, 2, mixed.stderr);
    assert.match(mixed.stderr, /are not in the hands of the same user/);
    assert.equal(await readFile(secret, 'utf8'), 'precious');
  } finally {
    await folder.remove();
  }
});

test('of two quickstarts in one folder the one that fails takes nothing from the other', async () => {
  const folder = await createTemporaryFolder();
  await symlink('.', join(folder.path, 'link'));
  const port = await freePort();
  const starting: Promise<Stack>[] = [];
  for (let n = 0; n < 4; n += 1) {
    const dir = join(folder.path, n % 2 === 0 ? 'data' : 'link/data');
    const one = startStack({ dir, port });
    // Looked at below.
    one.catch(() => {});
    starting.push(one);
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  const outcomes = await Promise.allSettled(starting);
  const running = outcomes.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  try {
    const why = outcomes.flatMap((one) => (one.status === 'rejected' ? [String(one.reason)] : []));
    assert.equal(running.length, 1, why.join('\n'));
    for (const path of ['registry', 'auth/htpasswd', 'auth/state', 'certs/site.key']) {
      assert.ok(await stat(join(folder.path, 'data', path)), path);
    }
  } finally {
    for (const stack of running) await stack.stop();
    await folder.remove();
  }
});

test('a storage that this user may not write to is told before the start', {
  skip: process.getuid?.() !== 0,
}, async () => {
  await using folder = await createTemporaryFolder();
  await chmod(folder.path, 0o755);
  const config = join(folder.path, 'config.yml');
  const root = join(folder.path, 'registry');
  const storage = `storage: { filesystem: { rootdirectory: ${root} } }`;
  await writeFile(config, `version: 0.1\n${storage}\nhttp: { addr: "127.0.0.1:0" }\n`);
  const asNobody = (...words: string[]) => {
    const us = ['--reuid=65534', '--regid=65534', '--clear-groups'];
    return run('setpriv', [...us, 'env', 'HOME=/tmp', launcher, ...words]);
  };
  const absent = await asNobody('config', 'check', config);
  assert.match(
    absent.stderr,
    /warn: .*registry does not exist, and this user may not make it; make it, and give it/,
  );
  await mkdir(join(root, 'docker/registry/v2'), { recursive: true });
  for (const words of [
    ['config', 'check', config],
    ['serve', config],
  ]) {
    const { stderr } = await asNobody(...words);
    assert.match(
      stderr,
      /v2 is not writable by this user; run it as .*chown -R 65534:65534 .*registry$/m,
    );
  }
  // Root judges for who will serve.
  const env = { REGISTRY_PORTCULLIS_USER: '65534:65534' };
  const asRoot = await run(launcher, ['config', 'check', '-q', config], { env });
  assert.equal(asRoot.code, 1);
  assert.match(
    asRoot.stderr,
    /stop: .*v2 is not writable by user 65534 \(portcullis\.user\); .*chown -R 65534:65534/,
  );
  // It stays root where it may not change users, as ever.
  const held = ['--bounding-set=-chown', '--inh-caps=-chown', launcher];
  const asIs = await run('setpriv', [...held, 'config', 'check', '-q', config], { env });
  assert.equal(asIs.code, 0, asIs.stderr);
  await mustRun('chown', ['-R', '65534:65534', root]);
  assert.equal((await run(launcher, ['config', 'check', '-q', config], { env })).code, 0);
  const users = join(folder.path, 'htpasswd');
  await writeFile(
    config,
    `${await readFile(config, 'utf8')}auth: { htpasswd: { realm: x, path: ${users} } }\n`,
  );
  const input = 'a good password';
  const added = await run(launcher, ['user', 'add', '--config', config, 'ann'], { input, env });
  assert.equal(added.code, 0, added.stderr);
  assert.doesNotMatch(added.stderr, /may not read/, 'a new one is made so that it can be read');
  assert.doesNotMatch(
    (await run(launcher, ['config', 'check', '-q', config], { env })).stderr,
    /htpasswd/,
  );
  await chmod(users, 0o600);
  const removed = await run(launcher, ['user', 'remove', '--config', config, 'ann'], { env });
  assert.match(
    removed.stderr,
    /warn: the registry serves as user 65534 .* may not read .*chgrp 65534/,
  );
  assert.match(
    (await run(launcher, ['config', 'check', '-q', config], { env })).stderr,
    /warn: auth\.htpasswd\.path: .* may not be read by user 65534, who will serve/,
  );
});

test('quickstart says that a port counts only where it makes the configuration', async () => {
  const stack = await startStack();
  await stack.stop();
  const [port, other] = [stack.port, await freePort()];
  const args = ['quickstart', '--dir', stack.dir, '--port', `${other}`];
  const again = await startStack({ dir: stack.dir, args });
  assert.match(
    again.output(),
    new RegExp(`sets port ${port}, so --port ${other} is ignored; change http.addr`),
  );
  await again.remove();
});

test('quickstart tells nobody to believe a CA that has not signed the certificate', async () => {
  const stack = await startStack();
  await stack.stop();
  const at = (name: string) => join(stack.dir, 'certs', name);
  const files = ['-keyout', at('site.key'), '-out', at('site.crt'), '-subj', '/CN=a company'];
  const names = ['-addext', 'subjectAltName=DNS:a.test,IP:127.0.0.1'];
  await mustRun('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...names, ...files]);
  const hosts = ['--host', 'a.test', '--host', 'b.test'];
  const again = await startStack({
    dir: stack.dir,
    args: ['quickstart', '--dir', stack.dir, ...hosts],
  });
  const output = again.output();
  await again.remove();
  assert.match(output, /site\.crt is not signed by the CA of this folder, and is not for b\.test;/);
  assert.doesNotMatch(output, /ca\.crt|CA certificate/);
});

describe('a start that fails leaves nothing', () => {
  test('with a port that somebody else has', async () => {
    await using folder = await createTemporaryFolder();
    const port = await freePort();
    await using _ = await occupy(port);
    const dir = join(folder.path, 'data');
    const quickstart = ['quickstart', '--dir', dir, '--port', `${port}`];
    const { code, stdout, stderr } = await run(launcher, quickstart);
    assert.equal(code, 1);
    assert.match(stderr, /already in use by another process/);
    assert.doesNotMatch(stdout, /password/);
    assert.deepEqual(await contentsOf(folder.path), []);
    const config = join(folder.path, 'config.yml');
    await mustRun(launcher, ['user', 'add', '--file', join(folder.path, 'htpasswd'), 'bob'], {
      input: 'a good password',
    });
    await writeFile(
      config,
      `version: 0.1
storage: { filesystem: { rootdirectory: ${folder.path}/registry } }
auth: { htpasswd: { path: ${folder.path}/htpasswd } }
http: { addr: "127.0.0.1:0", debug: { addr: ":${port}" } }
`,
    );
    const before = await contentsOf(folder.path);
    const served = await run(launcher, ['serve', config]);
    assert.match(served.stderr, /already in use by another process; .*http\.debug\.addr/);
    assert.deepEqual(await contentsOf(folder.path), before);
  });

  test('with a variable that spoils it', async () => {
    await using folder = await createTemporaryFolder();
    const quickstart = ['quickstart', '--dir', join(folder.path, 'data')];
    const env = { REGISTRY_PORTCULLIS_PAGESIZE: '0' };
    const { code, stderr } = await run(launcher, quickstart, { env });
    assert.equal(code, 1);
    assert.match(stderr, /portcullis\.pagesize: must be a whole number from 1/);
    assert.deepEqual(await contentsOf(folder.path), []);
  });

  test('with a storage that cannot be, and what was there before stays', async () => {
    await using folder = await createTemporaryFolder();
    await writeFile(join(folder.path, 'notes'), 'mine');
    await mkdir(join(folder.path, 'auth'));
    const port = await freePort();
    const env = { REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: join(folder.path, 'notes/below') };
    const quickstart = ['quickstart', '--dir', folder.path, '--port', `${port}`];
    const { code, stdout, stderr } = await run(launcher, quickstart, { env });
    assert.equal(code, 1);
    assert.match(stderr, /storage\.filesystem\.rootdirectory/);
    assert.doesNotMatch(stdout, /password/);
    assert.deepEqual(await contentsOf(folder.path), ['auth', 'notes']);
    assert.equal(await readFile(join(folder.path, 'notes'), 'utf8'), 'mine');
    const stack = await startStack({ dir: folder.path, port });
    assert.notEqual(stack.password, '', 'the next start shows the password');
    await stack.stop();
  });
});
