import assert from 'node:assert/strict';
import { chmod, chown, mkdir, mkdtemp, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type ContainerOptions, runRegistry } from '../support/container.ts';
import type { DockerEngine } from '../support/docker-engine.ts';
import { startOriginalRegistry } from '../support/original-registry.ts';
import { mustRun, run } from '../support/run.ts';
import { waitFor } from '../support/wait-for.ts';

export interface ImageUnderTest {
  engine: DockerEngine;
  dir: string;
}

/** What people do with registry:2's image, done with ours. */
export function describeImageContract(given: () => ImageUnderTest): void {
  const start = (options: ContainerOptions = {}) => runRegistry(given().engine, options);
  const folder = async (name: string) => await mkdtemp(join(given().dir, `${name}-`));
  const volume = (host: string, container: string) => ['--volume', `${host}:${container}`];
  const docker = (...args: string[]) => given().engine.docker(args);
  const mustDocker = (...args: string[]) => given().engine.mustDocker(args);

  /** Pushes a small image, forgets it, and pulls it again. */
  async function pushAndPull(image: string): Promise<void> {
    await given().engine.buildImage(image, [3000, 20]);
    await mustDocker('push', image);
    await mustDocker('image', 'rm', image);
    await mustDocker('pull', image);
  }

  async function makeConfig(text: string): Promise<string> {
    const dir = await folder('config');
    await writeFile(join(dir, 'config.yml'), text);
    return dir;
  }

  const minimal = 'version: 0.1\nstorage: { filesystem: {} }\n';

  describe('the image', () => {
    test('serves an empty folder of root’s as 65532, openly, and says so', async () => {
      const data = await folder('empty');
      await chmod(data, 0o755);
      const container = await start({ options: volume(data, '/var/lib/registry') });
      await pushAndPull(`${container.registry}/team/app:v1`);
      assert.deepEqual(await container.users(), { supervisor: 0, core: 65_532, gateway: 65_532 });
      assert.match(await container.logs(), /no auth is configured: everyone/);
      assert.equal((await stat(data)).uid, 65_532);
      assert.equal(await container.stop(), 0);
    });

    test('goes on with a tree of root’s that registry 2.8 left, with the same arguments', async () => {
      const data = await folder('original');
      const original = await startOriginalRegistry(given().dir, data);
      const before = `${original.registry}/old/app:v1`;
      try {
        await given().engine.buildImage(before, [3000, 20]);
        await mustDocker('push', before);
      } finally {
        await original.stop();
      }
      const config = await makeConfig(`${minimal}http: { addr: ":5000" }\n`);
      const container = await start({
        options: [
          ...volume(data, '/var/lib/registry'),
          ...volume(join(config, 'config.yml'), '/etc/docker/registry/config.yml'),
        ],
        args: ['/etc/docker/registry/config.yml'],
      });
      await mustDocker('pull', `${container.registry}/old/app:v1`);
      await pushAndPull(`${container.registry}/new/app:v1`);
      assert.deepEqual(await container.users(), { supervisor: 0, core: 0, gateway: 0 });
      const said = (await container.logs()).match(/belongs to root, so it is served as root/g);
      assert.equal(said?.length, 1);
      await mustDocker(
        ...['exec', container.name, 'bin/registry', 'garbage-collect'],
        '/etc/docker/registry/config.yml',
      );
      assert.equal(await container.stop(), 0);
      const again = await startOriginalRegistry(given().dir, data);
      try {
        await mustDocker('pull', `${again.registry}/new/app:v1`);
      } finally {
        await again.stop();
      }
    });

    test('serves a tree as its owner, also where the folder above is another’s', async () => {
      const data = await folder('owned');
      await mkdir(join(data, 'docker/registry/v2'), { recursive: true });
      await mustRun('chown', ['-R', '1234:1235', join(data, 'docker')]);
      await chmod(data, 0o755);
      const container = await start({ options: volume(data, '/var/lib/registry') });
      await pushAndPull(`${container.registry}/team/app:v1`);
      assert.deepEqual(await container.users(), { supervisor: 0, core: 1234, gateway: 1234 });
      await mustDocker('exec', container.name, 'registry', 'fsck', '/etc/distribution/config.yml');
      const strangers = await mustRun('find', [join(data, 'docker'), '!', '-user', '1234']);
      assert.equal(strangers, '');
    });

    test('opens what only root may read, and serves it as somebody else', async () => {
      const config = await folder('private');
      const auth = join(config, 'auth');
      await mkdir(auth, { mode: 0o700 });
      const line = await mustDocker(
        ...['run', '--rm', '--entrypoint', 'htpasswd', 'portcullis', '-Bbn', 'foo', 'foo123'],
      );
      assert.match(line, /^foo:\$2y\$05\$\S{53}\n\n$/);
      await writeFile(join(auth, 'htpasswd'), line, { mode: 0o600 });
      const names = ['certs', '/etc/docker/registry/certs', '127.0.0.1'];
      await mustDocker(
        'run',
        '--rm',
        ...volume(config, '/etc/docker/registry'),
        'portcullis',
        ...names,
      );
      assert.equal((await stat(join(config, 'certs/site.key'))).mode & 0o077, 0);
      await writeFile(
        join(config, 'config.yml'),
        `${minimal}auth: { htpasswd: { realm: basic-realm, path: /etc/docker/registry/auth/htpasswd } }
http:
  tls: { certificate: /etc/docker/registry/certs/site.crt, key: /etc/docker/registry/certs/site.key }
`,
      );
      const container = await start({
        options: [...volume(config, '/etc/docker/registry'), '--health-interval=1s'],
        scheme: 'https',
      });
      const { registry } = container;
      await given().engine.trust(registry, join(config, 'certs/ca.crt'));
      const wrong = await docker('login', '--username', 'foo', '--password', 'foo124', registry);
      assert.equal(wrong.code, 1);
      await mustDocker('login', '--username', 'foo', '--password', 'foo123', registry);
      await pushAndPull(`${registry}/team/app:v1`);
      const users = await container.users();
      assert.deepEqual(users, { supervisor: 0, auth: 65_532, core: 65_532, gateway: 65_532 });
      assert.match(
        await container.logs(),
        /portcullis-state is not accessible to the user that serves/,
      );
      assert.equal((await stat(auth)).uid, 0);
      const wget = ['wget', '--spider', '-q', '--no-check-certificate', `https://${registry}/`];
      await mustDocker('exec', container.name, ...wget);
      await waitFor('the health check', async () => {
        const status = ['--format', '{{.State.Health.Status}}', container.name];
        return (await mustDocker('inspect', ...status)).trim() === 'healthy';
      });
      assert.equal(await container.stop(), 0);
    });

    test('just runs as a user, on a read-only filesystem and without any capability', async () => {
      const data = await folder('rootless');
      await chown(data, 4321, 4321);
      const hardened = ['--user', '4321:4321', '--read-only', '--cap-drop', 'ALL'];
      const container = await start({
        options: [...hardened, ...volume(data, '/var/lib/registry')],
      });
      await pushAndPull(`${container.registry}/team/app:v1`);
      const users = await container.users();
      assert.deepEqual(users, { supervisor: 4321, core: 4321, gateway: 4321 });
    });

    test('goes on as root where a container may not change users', async () => {
      const data = await folder('no-capabilities');
      const options = ['--cap-drop', 'ALL', ...volume(data, '/var/lib/registry')];
      const container = await start({ options });
      await pushAndPull(`${container.registry}/team/app:v1`);
      assert.deepEqual(await container.users(), { supervisor: 0, core: 0, gateway: 0 });
      assert.match(await container.logs(), /serving as root/);
    });

    test('a folder that its user cannot write is one sentence with the way out', async () => {
      const data = await folder('unwritable');
      const { code, stderr, stdout } = await docker(
        ...['run', '--rm', '--network', 'host', '--user', '4321:4321'],
        ...volume(data, '/var/lib/registry'),
        'portcullis',
      );
      assert.equal(code, 1);
      assert.match(stderr, /: chown -R 4321:4321 \/var\/lib\/registry$/m);
      assert.doesNotMatch(stdout + stderr, /^\s+at /m);
      assert.deepEqual(await readdir(data), []);
    });

    test('tokens end with the process where nothing can be kept beside the users', async () => {
      const auth = await folder('users');
      const line = await mustDocker(
        ...['run', '--rm', '--entrypoint', 'htpasswd', 'portcullis', '-Bbn', 'foo', 'foo123'],
      );
      await writeFile(join(auth, 'htpasswd'), line);
      await chmod(auth, 0o755);
      const container = await start({
        options: [
          ...['--volume', `${auth}:/auth:ro`, '--user', '4321:4321'],
          ...['--env', 'REGISTRY_AUTH=htpasswd', '--env', 'REGISTRY_AUTH_HTPASSWD_REALM=r'],
          ...['--env', 'REGISTRY_AUTH_HTPASSWD_PATH=/auth/htpasswd'],
          ...['--env', 'REGISTRY_STORAGE=inmemory'],
        ],
      });
      assert.match(await container.logs(), /tokens end with this process/);
      const { registry } = container;
      await mustDocker('login', '--username', 'foo', '--password', 'foo123', registry);
      await pushAndPull(`${registry}/team/app:v1`);
    });

    test('takes a configuration wherever one of the two originals would', async () => {
      const file = '/etc/distribution/config.yml';
      const text = `${minimal}http: { headers: { X-From: [mounted] } }\n`;
      const dir = await makeConfig(text);
      const mounts = [
        volume(join(dir, 'config.yml'), file),
        volume(dir, '/etc/distribution'),
        volume(join(dir, 'config.yml'), '/etc/docker/registry/config.yml'),
        volume(dir, '/etc/docker/registry'),
        [...volume(dir, '/custom'), '--env', 'REGISTRY_CONFIGURATION_PATH=/custom/config.yml'],
      ];
      for (const options of mounts) {
        const container = await start({ options });
        const { stdout } = await run('curl', ['-si', `http://${container.registry}/v2/`]);
        assert.match(stdout, /^X-From: mounted/im, options.join(' '));
        assert.equal(await container.stop(), 0);
      }
    });

    test('runs what was made of its sources', async () => {
      const script = `const { runBundled } = await import('/opt/portcullis/libs/process/run-bundled.ts');
process.argv.splice(1, 0, 'portcullis', '--version');
await runBundled('portcullis', async () => console.log('the sources'));`;
      const words = ['run', '--rm', '--entrypoint', 'node', 'portcullis'];
      const printed = await mustDocker(...words, '--input-type=module', '--eval', script);
      assert.match(printed, /^portcullis \d+\.\d+\.\d+/);
    });

    test('the entrypoint takes what the original’s takes', async () => {
      const image = async (...args: string[]) =>
        (await mustDocker('run', '--rm', '--network', 'host', 'portcullis', ...args)).trim();
      assert.match(await image('--version'), /^portcullis \d/);
      assert.match(await image('help'), /^Usage: portcullis /);
      assert.equal(await image('echo', 'as it is'), 'as it is');
      assert.match(await image('user', '--help'), /^Usage: portcullis user .*\n[\s\S]* add /);
      const custom = await makeConfig(minimal);
      const container = await start({
        options: [...volume(custom, '/x'), '--health-interval=1s', '--health-start-period=0s'],
        args: ['serve', '/x/config.yml'],
      });
      assert.match(await mustDocker('exec', container.name, 'portcullis', 'health'), /is ready/);
    });
  });
}
