import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freePort } from '../support/free-port.ts';
import { mustRun, type RunOptions, run } from '../support/run.ts';
import { waitFor } from '../support/wait-for.ts';
import type { ImageUnderTest } from './contract.ts';

const file = fileURLToPath(new URL('../../compose/compose.yml', import.meta.url));

const ours = ['auth-1', 'auth-2', 'core-1', 'core-2', 'gateway-1', 'gateway-2'];

interface Inspection {
  Config: { User: string };
  HostConfig: { Memory: number; NanoCpus: number; ReadonlyRootfs: boolean };
  State: { ExitCode: number; Health?: { Status: string } };
}

/** compose.yml as it stands, brought up by docker-compose from nothing. */
export function describeComposeStack(given: () => ImageUnderTest): void {
  describe('the compose stack', () => {
    let registries: [string, string];
    let env: Record<string, string>;
    const project = ['--file', file, '--project-name', 'stack'];
    const compose = (args: readonly string[], options: RunOptions = {}) =>
      run('docker-compose', [...project, ...args], { ...options, env });
    const mustCompose = (args: readonly string[], options: RunOptions = {}) =>
      mustRun('docker-compose', [...project, ...args], { timeout: 300_000, ...options, env });
    const mustDocker = (...args: string[]) => given().engine.mustDocker(args);

    const containerOf = async (service: string) =>
      (await mustCompose(['ps', '--all', '--quiet', service])).trim();
    async function inspect(service: string): Promise<Inspection> {
      const text = await mustDocker('inspect', await containerOf(service));
      const [found] = JSON.parse(text) as [Inspection];
      return found;
    }
    const healthy = async (service: string) =>
      (await inspect(service)).State.Health?.Status === 'healthy';

    before(async () => {
      const ports = [await freePort(), await freePort()];
      registries = [`localhost:${ports[0]}`, `localhost:${ports[1]}`];
      const [first = 0, second = 0] = ports;
      env = {
        ...given().engine.env,
        GATEWAY_1: `127.0.0.1:${first}`,
        GATEWAY_2: `127.0.0.1:${second}`,
      };
      await mustCompose(['up', '--detach', '--no-build']);
      for (const service of [...ours, 'redis']) {
        await waitFor(`${service} to be healthy`, () => healthy(service), 90_000).catch(
          async (error: unknown) => {
            const { stdout } = await compose(['logs', '--no-color']);
            throw new Error(`${(error as Error).message}\n${stdout}`, { cause: error });
          },
        );
      }
    });

    after(async () => {
      await compose(['down', '--volumes', '--timeout', '20'], { timeout: 120_000 });
    });

    test('nobody is root, nothing can be written but the volumes, everybody has limits', async () => {
      for (const service of ours) {
        const { Config, HostConfig, State } = await inspect(service);
        assert.equal(Config.User, '65532:65532', service);
        assert.equal(HostConfig.ReadonlyRootfs, true, service);
        assert.ok(HostConfig.Memory > 0 && HostConfig.NanoCpus > 0, service);
        assert.equal(State.ExitCode, 0, service);
      }
      assert.equal((await inspect('init')).State.ExitCode, 0);
    });

    test('no secret is in the logs', async () => {
      const secrets = ['auth/admin-password', 'internal/secret'];
      const logs = await mustCompose(['logs', '--no-color']);
      for (const name of secrets) {
        const args = ['exec', '-T', 'auth-1', 'cat', `/var/lib/portcullis/${name}`];
        const secret = (await mustCompose(args)).trim();
        assert.ok(secret.length >= 16);
        assert.ok(!logs.includes(secret), name);
      }
    });

    test('each process sees what it needs and no more', async () => {
      const sees = async (service: string, path: string) =>
        (await compose(['exec', '-T', service, 'test', '-e', path])).code === 0;
      const users = '/var/lib/portcullis/auth/htpasswd';
      const keys = '/var/lib/portcullis/auth/state/keys/first.pem';
      const site = '/var/lib/portcullis/edge/site.key';
      const tree = '/var/lib/registry/docker';
      for (const [service, mine] of [
        ['gateway-1', [site]],
        ['auth-1', [users, keys]],
        ['core-1', [tree]],
      ] as const) {
        for (const path of [users, keys, site, tree, '/var/lib/portcullis/ca/ca.key']) {
          const wanted = (mine as readonly string[]).includes(path);
          assert.equal(await sees(service, path), wanted, `${service} ${path}`);
        }
      }
    });

    test('docker logs in at both gateways, pushes to one and pulls from the other', async () => {
      const { engine, dir } = given();
      const read = async (name: string) =>
        await mustCompose(['run', '--rm', '-T', 'init', 'cat', `/var/lib/portcullis/${name}`]);
      const ca = join(dir, 'stack-ca.crt');
      await writeFile(ca, await read('edge/ca.crt'));
      const password = await read('auth/admin-password');
      for (const registry of registries) {
        await engine.trust(registry, ca);
        await engine.mustDocker(['login', '--username', 'admin', '--password-stdin', registry], {
          input: password,
        });
      }
      const [a, b] = registries.map((registry) => `${registry}/team/app:v1`) as [string, string];
      await engine.buildImage(a, [3_000_000, 20]);
      await mustDocker('push', a);
      await mustDocker('image', 'rm', a);
      await mustDocker('pull', b);
      await mustDocker('image', 'rm', b);
    });

    test('it goes on with one of each, and takes the others back', async () => {
      const { engine } = given();
      const firsts = ['core-1', 'auth-1', 'gateway-1'];
      await mustCompose(['kill', ...firsts]);
      const image = `${registries[1]}/team/half:v1`;
      await engine.buildImage(image, [3_000_000, 20]);
      await mustDocker('push', image);
      await mustDocker('image', 'rm', image);
      await mustDocker('pull', image);
      await mustDocker('image', 'rm', image);
      await mustCompose(['start', ...firsts]);
      for (const service of firsts) {
        await waitFor(`${service} to be healthy again`, () => healthy(service), 90_000);
      }
      await mustDocker('pull', `${registries[0]}/team/half:v1`);
    });

    test('each stops in time and with exit code 0, and all come back with what they held', async () => {
      await mustCompose(['stop', '--timeout', '40']);
      for (const service of ours) assert.equal((await inspect(service)).State.ExitCode, 0, service);
      await mustCompose(['up', '--detach', '--no-build']);
      await waitFor('the gateway', () => healthy('gateway-2'), 90_000);
      await waitFor('a pull', async () => {
        const args = ['pull', `${registries[1]}/team/app:v1`];
        return (await given().engine.docker(args)).code === 0;
      });
    });
  });
}
