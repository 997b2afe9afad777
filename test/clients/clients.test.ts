import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startConfigured } from '../support/configured-stack.ts';
import { type DebianSid, makeDebianSid } from '../support/debian-sid.ts';
import { type DockerEngine, startDockerEngine } from '../support/docker-engine.ts';
import { mustRun, run } from '../support/run.ts';
import { launcher, type Stack } from '../support/stack.ts';
import { waitFor } from '../support/wait-for.ts';

const password = 'a good password';

/** Each client logs in, pushes where it may, is refused where it may not, and pulls. */
describe('clients', () => {
  let dir: string;
  let sid: DebianSid;
  let engine: DockerEngine;
  let stack: Stack;
  let withIdentity: Stack;
  let host: string;
  let ca: string;
  let digest: string;

  const sections = (identity: boolean) => () => ({
    portcullis: {
      token: { identity },
      acl: [
        { match: { account: 'bob', name: 'bob/**' }, actions: ['*'] },
        { match: { account: 'bob' }, actions: ['pull'] },
        { match: { name: 'public/**' }, actions: ['pull'] },
      ],
    },
  });
  const options = { tls: true, users: { bob: password } };

  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'portcullis-clients-'));
    sid = await makeDebianSid(dir);
    engine = await startDockerEngine();
    stack = await startConfigured({ ...options, sections: sections(false) });
    withIdentity = await startConfigured({ ...options, sections: sections(true) });
    host = `localhost:${stack.port}`;
    ca = join(dir, 'ca.crt');
    await copyFile(join(stack.dir, 'certs/ca.crt'), ca);
    for (const one of [stack, withIdentity]) {
      await engine.trust(`localhost:${one.port}`, join(one.dir, 'certs/ca.crt'));
    }
    await mustLogin(stack);
    const image = `${host}/bob/app:v1`;
    await engine.buildImage(image, [3000, 20]);
    const pushed = await engine.mustDocker(['push', image]);
    digest = /digest: (\S+)/.exec(pushed)?.[1] ?? '';
    assert.match(digest, /^sha256:/);
  });

  after(async () => {
    await engine?.stop();
    await stack?.remove();
    await withIdentity?.remove();
    await sid?.remove();
    await rm(dir, { recursive: true, force: true });
  });

  const mustLogin = async ({ port }: Stack) => {
    const args = ['login', '--username', 'bob', '--password-stdin', `localhost:${port}`];
    await engine.mustDocker(args, { input: password });
  };
  const trusting = () => ({ env: { SSL_CERT_FILE: ca } });
  const refusedIn = (text: string) =>
    assert.match(text, /denied|unauthorized|UNAUTHORIZED|DENIED|401/i);

  test('docker keeps the password, which a kubelet can use', async () => {
    const config = join(engine.configFolder, 'config.json');
    const { auths } = JSON.parse(await readFile(config, 'utf8')) as {
      auths: Record<string, { auth: string; identitytoken?: string }>;
    };
    const entry = auths[host];
    assert.equal(entry?.identitytoken, undefined);
    assert.equal(Buffer.from(entry?.auth ?? '', 'base64').toString(), `bob:${password}`);
    // As from a Secret made of that file.
    const pulled = await run('skopeo', [
      ...['inspect', '--authfile', config, '--cert-dir', dir, `docker://${host}/bob/app:v1`],
    ]);
    assert.equal(pulled.code, 0, pulled.stderr);
  });

  test('docker with identity tokens: stored instead of the password, used, and revoked', async () => {
    const there = `localhost:${withIdentity.port}`;
    await mustLogin(withIdentity);
    const config = await readFile(join(engine.configFolder, 'config.json'), 'utf8');
    const { auths } = JSON.parse(config) as { auths: Record<string, { identitytoken?: string }> };
    assert.match(auths[there]?.identitytoken ?? '', /^eyJ/);
    const image = `${there}/bob/app:v1`;
    await engine.mustDocker(['tag', `${host}/bob/app:v1`, image]);
    await engine.mustDocker(['push', image]);
    await engine.mustDocker(['pull', image]);
    const state = join(withIdentity.dir, 'portcullis-state');
    await mustRun(launcher, ['token', 'revoke', 'bob', '--state', state]);
    await waitFor(
      'the login to end',
      async () => (await engine.docker(['pull', image])).code !== 0,
    );
  });

  test('podman', async () => {
    await mkdir(join(dir, 'certs'));
    await copyFile(ca, join(dir, 'certs/ca.crt'));
    const store = ['--root', join(dir, 'podman'), '--runroot', join(dir, 'podman-run')];
    const common = [...store, '--storage-driver', 'vfs'];
    const tls = ['--cert-dir', join(dir, 'certs')];
    const podman = (...args: string[]) => sid.run('podman', [...common, ...args]);
    const mustPodman = (...args: string[]) => sid.mustRun('podman', [...common, ...args]);
    await sid.mustRun(
      'podman',
      [...common, 'login', ...tls, '--username', 'bob', '--password-stdin', host],
      { input: password },
    );
    await mustPodman('pull', ...tls, `${host}/bob/app:v1`);
    await mustPodman('push', ...tls, `${host}/bob/app:v1`, `docker://${host}/bob/podman:v1`);
    const denied = await podman('push', ...tls, `${host}/bob/app:v1`, `docker://${host}/eve/x:v1`);
    assert.notEqual(denied.code, 0);
    refusedIn(denied.stderr);
  });

  test('crane', async () => {
    const crane = (...args: string[]) => sid.run('crane', args, trusting());
    const mustCrane = (...args: string[]) => sid.mustRun('crane', args, trusting());
    await mustCrane('auth', 'login', host, '--username', 'bob', '--password', password);
    assert.equal((await mustCrane('digest', `${host}/bob/app:v1`)).trim(), digest);
    await mustCrane('copy', `${host}/bob/app:v1`, `${host}/bob/crane:v1`);
    assert.match(await mustCrane('catalog', host), /^bob\/crane$/m);
    assert.equal((await mustCrane('ls', `${host}/bob/crane`)).trim(), 'v1');
    const denied = await crane('copy', `${host}/bob/app:v1`, `${host}/eve/crane:v1`);
    assert.notEqual(denied.code, 0);
    refusedIn(denied.stderr);
  });

  test('oras', async () => {
    // A name that means this machine would be asked without TLS.
    const tls = ['--ca-file', ca, '--plain-http=false'];
    const oras = (...args: string[]) => sid.run('oras', [...args, ...tls], { cwd: dir });
    const mustOras = async (...args: string[]) => {
      const { code, stdout, stderr } = await oras(...args);
      assert.equal(code, 0, stderr);
      return stdout;
    };
    const login = await sid.run(
      'oras',
      ['login', host, '--username', 'bob', '--password-stdin', ...tls],
      { input: password },
    );
    assert.equal(login.code, 0, login.stderr);
    await writeFile(join(dir, 'notes.txt'), 'some notes\n');
    const file = `${join(dir, 'notes.txt')}:text/plain`;
    const artifact = ['--artifact-type', 'application/x-notes', '--disable-path-validation'];
    await mustOras('push', `${host}/bob/notes:v1`, file, ...artifact);
    await mustOras('attach', `${host}/bob/app:v1`, file, ...artifact);
    assert.match(await mustOras('discover', `${host}/bob/app:v1`), /application\/x-notes/);
    await mustOras(
      'pull',
      `${host}/bob/notes:v1`,
      '--output',
      join(dir, 'pulled'),
      '--allow-path-traversal',
    );
    const denied = await oras('push', `${host}/eve/notes:v1`, file, ...artifact);
    assert.notEqual(denied.code, 0);
    refusedIn(denied.stderr);
  });

  test('containerd asks by POST, as a cluster’s nodes do', async () => {
    const state = join(dir, 'containerd');
    await mkdir(state);
    const socket = join(state, 'sock');
    await writeFile(
      join(state, 'config.toml'),
      `version = 2\nroot = "${state}/root"\nstate = "${state}/state"\n[grpc]\n address = "${socket}"\n`,
    );
    let daemon: ChildProcess | undefined;
    try {
      daemon = sid.spawn('containerd', ['--config', join(state, 'config.toml')]);
      const ctr = (...args: string[]) => sid.run('ctr', ['--address', socket, ...args]);
      await waitFor('containerd', async () => (await ctr('version')).code === 0);
      const pull = (...args: string[]) =>
        ctr('images', 'pull', '--local', '--snapshotter', 'native', '--tlscacert', ca, ...args);
      const image = `${host}/bob/app:v1`;
      const refused = await pull(image);
      assert.notEqual(refused.code, 0);
      const before = stack.output().length;
      const pulled = await pull('--user', `bob:${password}`, image);
      assert.equal(pulled.code, 0, pulled.stderr);
      assert.match(stack.output().slice(before), /method=POST path=\/v2\/_token/);
    } finally {
      daemon?.kill('SIGTERM');
    }
  });

  test('cosign signs and verifies', async () => {
    const env = { env: { ...trusting().env, COSIGN_PASSWORD: 'x', COSIGN_YES: 'true' } };
    const cosign = (...args: string[]) => sid.run('cosign', args, env);
    const login = await cosign('login', host, '--username', 'bob', '--password', password);
    assert.equal(login.code, 0, login.stderr);
    const key = join(dir, 'signing');
    const made = await cosign('generate-key-pair', '--output-key-prefix', key);
    assert.equal(made.code, 0, made.stderr);
    const image = `${host}/bob/app@${digest}`;
    const signed = await cosign(
      ...[
        'sign',
        '--key',
        `${key}.key`,
        '--tlog-upload=false',
        '--use-signing-config=false',
        image,
      ],
    );
    assert.equal(signed.code, 0, signed.stderr);
    const verified = await cosign(
      ...['verify', '--key', `${key}.pub`, '--insecure-ignore-tlog', image],
    );
    assert.equal(verified.code, 0, verified.stderr);
    const elsewhere = await cosign(
      ...['sign', '--key', `${key}.key`, '--tlog-upload=false', '--use-signing-config=false'],
      `${host}/public/app@${digest}`,
    );
    assert.notEqual(elsewhere.code, 0);
  });
});
