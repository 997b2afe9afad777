import assert from 'node:assert/strict';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type DockerEngine, startDockerEngine } from '../support/docker-engine.ts';
import { resolveTo } from '../support/hosts-file.ts';
import { mustRun, type RunResult, run } from '../support/run.ts';
import { type Stack, servicePids, startStack } from '../support/stack.ts';
import { waitFor } from '../support/wait-for.ts';

const host = 'registry.portcullis.test';
const MiB = 1024 * 1024;

describe('the real docker engine', () => {
  let stack: Stack;
  let engine: DockerEngine;
  let registry: string;

  before(async () => {
    resolveTo(host, '127.0.0.1');
    stack = await startStack({ host });
    registry = `${host}:${stack.port}`;
    engine = await startDockerEngine();
    await engine.trust(registry, stack.ca);
  });

  after(async () => {
    await engine?.stop();
    await stack?.remove();
    resolveTo(host);
  });

  const login = (password: string) =>
    engine.docker(['login', '--username', 'admin', '--password-stdin', registry], {
      input: password,
    });
  const pushedDigest = (output: string) => /digest: (sha256:[0-9a-f]{64})/.exec(output)?.[1] ?? '';

  test('login with a wrong password is refused, and says so', async () => {
    const { code, stderr } = await login('wrong');
    assert.equal(code, 1);
    assert.match(stderr, /unauthorized: incorrect username or password/);
  });

  test('login with the right password succeeds and stores the password, not a token', async () => {
    const { code, stdout, stderr } = await login(stack.password);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /Login Succeeded/);
    const config = JSON.parse(await readFile(join(engine.configFolder, 'config.json'), 'utf8')) as {
      auths: Record<string, { auth: string; identitytoken?: string }>;
    };
    assert.deepEqual(Object.keys(config.auths[registry] ?? {}), ['auth']);
  });

  test('push a multi-layer image, pull it by tag and by digest, with equal digests', async () => {
    const image = `${registry}/team/app:v1`;
    await engine.buildImage(image, [3 * MiB, MiB, 100]);
    const digest = pushedDigest(await engine.mustDocker(['push', image]));
    assert.match(digest, /^sha256:/);
    const id = await engine.mustDocker(['image', 'inspect', '--format', '{{.Id}}', image]);

    await engine.mustDocker(['image', 'rm', image]);
    assert.match(await engine.mustDocker(['pull', image]), new RegExp(`Digest: ${digest}`));
    assert.equal(await engine.mustDocker(['image', 'inspect', '--format', '{{.Id}}', image]), id);

    await engine.mustDocker(['image', 'rm', image]);
    await engine.mustDocker(['pull', `${registry}/team/app@${digest}`]);
    await engine.mustDocker(['tag', `${registry}/team/app@${digest}`, image]);
  });

  test('a second repository mounts the layers instead of uploading them', async () => {
    const copy = `${registry}/team/copy:v1`;
    await engine.mustDocker(['tag', `${registry}/team/app:v1`, copy]);
    const output = await engine.mustDocker(['push', copy]);
    assert.match(output, /Mounted from team\/app/);
    assert.doesNotMatch(output, /: Pushed/);
  });

  test('deleting one tag leaves its sibling', async () => {
    const app = `${registry}/team/app`;
    await engine.mustDocker(['tag', `${app}:v1`, `${app}:v2`]);
    await engine.mustDocker(['push', `${app}:v2`]);
    const curl = (...args: string[]) =>
      mustRun('curl', ['-sS', '--cacert', stack.ca, '--user', `admin:${stack.password}`, ...args]);
    const tags = async () => JSON.parse(await curl(`${stack.url}/v2/team/app/tags/list`));
    assert.deepEqual(await tags(), { name: 'team/app', tags: ['v1', 'v2'] });
    await curl('--fail', '-X', 'DELETE', `${stack.url}/v2/team/app/manifests/v1`);
    assert.deepEqual(await tags(), { name: 'team/app', tags: ['v2'] });
    await engine.mustDocker(['pull', `${app}:v2`]);
  });

  test('after logout a push is denied', async () => {
    await engine.mustDocker(['logout', registry]);
    const { code, stderr } = await engine.docker(['push', `${registry}/team/app:v2`]);
    assert.equal(code, 1);
    assert.match(stderr, /denied|unauthorized|no basic auth credentials/);
    assert.equal((await login(stack.password)).code, 0);
  });

  /** Starts a push of one large layer and waits until some of it has arrived, but not all. */
  async function pushHalfway(image: string): Promise<{ done: Promise<RunResult> }> {
    await engine.buildImage(image, [200 * MiB]);
    const done = engine.docker(['push', image]);
    const repository = image.slice(image.indexOf('/') + 1, image.lastIndexOf(':'));
    const uploads = join(
      stack.dir,
      'registry/docker/registry/v2/repositories',
      repository,
      '_uploads',
    );
    await waitFor('some bytes of the push', async () => {
      for (const id of await readdir(uploads).catch(() => [])) {
        for (const file of await readdir(join(uploads, id)).catch(() => [])) {
          // Written to, or closed between two requests.
          if (!/^(?:open|data)\./.test(file)) continue;
          if (((await stat(join(uploads, id, file)).catch(() => undefined))?.size ?? 0) > MiB) {
            return true;
          }
        }
      }
      return undefined;
    });
    return { done };
  }

  test('a push goes on when the core is killed in the middle of it', async () => {
    const image = `${registry}/team/killed:v1`;
    const pushing = await pushHalfway(image);
    const [core] = await servicePids(stack.child.pid ?? 0, 'core');
    assert.ok(core !== undefined);
    process.kill(core, 'SIGKILL');
    const { code, stdout, stderr } = await pushing.done;
    assert.equal(code, 0, stdout + stderr + stack.output());
    assert.match(stack.output(), /a process exited unexpectedly; restarting it.*service=core/);
    await engine.mustDocker(['image', 'rm', image]);
    assert.match(await engine.mustDocker(['pull', image]), new RegExp(pushedDigest(stdout)));
  });

  test('a push goes on when the whole stack is restarted in the middle of it', async () => {
    const image = `${registry}/team/restarted:v1`;
    const pushing = await pushHalfway(image);
    assert.equal(await stack.stop(), 0);
    stack = {
      ...(await startStack({ host, dir: stack.dir, port: stack.port })),
      password: stack.password,
    };
    const { code, stdout, stderr } = await pushing.done;
    assert.equal(code, 0, stdout + stderr);
    await engine.mustDocker(['image', 'rm', image]);
    assert.match(await engine.mustDocker(['pull', image]), new RegExp(pushedDigest(stdout)));
  });

  test('the certificate is checked: an engine that does not know the CA refuses', async () => {
    const { stderr } = await run('curl', ['-sS', `${stack.url}/v2/`]);
    assert.match(stderr, /certificate/);
  });
});
