import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { stringify } from 'yaml';
import { createTemporaryFolder } from '../../test/support/temporary-folder.ts';
import { loadConfiguration } from './load-configuration.ts';
import { toSettings } from './settings.ts';

/** The settings of a configuration with these sections, as one of the workers sees them. */
async function settingsOf(sections: Record<string, unknown>, worker?: number) {
  await using folder = await createTemporaryFolder();
  const env = { REGISTRY_CONFIGURATION_PATH: join(folder.path, 'config.yml') };
  const tree = { version: '0.1', storage: { inmemory: {} }, ...sections };
  await writeFile(env.REGISTRY_CONFIGURATION_PATH, stringify(tree));
  return toSettings(await loadConfiguration(undefined, env), { worker: worker ?? 1 });
}

describe('workers', () => {
  const redis = { addr: 'localhost:6379' };
  const of = (gateway: unknown, core: unknown) => ({
    portcullis: { sockets: '/run/x', gateway: { workers: gateway }, core: { workers: core } },
  });

  test('there is one of each, unless the configuration says otherwise', async () => {
    const { workers, sockets } = await settingsOf({ portcullis: { sockets: '/run/x' } });
    assert.deepEqual(workers, { gateway: 1, core: 1 });
    assert.deepEqual(sockets, {
      folder: '/run/x',
      isAgreed: true,
      auth: '/run/x/auth.sock',
      cores: ['/run/x/core.sock'],
      core: '/run/x/core.sock',
    });
  });

  test('each core has a socket of its own, and all know all', async () => {
    const { workers, sockets } = await settingsOf({ redis, ...of(2, 3) }, 2);
    assert.deepEqual(workers, { gateway: 2, core: 3 });
    assert.deepEqual(sockets.cores, [
      '/run/x/core.sock',
      '/run/x/core-2.sock',
      '/run/x/core-3.sock',
    ]);
    assert.equal(sockets.core, '/run/x/core-2.sock');
  });

  test('auto is one for each CPU, where there can be more than one', async () => {
    const all = availableParallelism();
    const http = { addr: '127.0.0.1:0' };
    const many = async (sections: Record<string, unknown>) =>
      (await settingsOf({ ...of('auto', 'auto'), ...sections })).workers;
    assert.deepEqual(await many({ redis }), { gateway: all, core: all });
    assert.deepEqual(await many({}), { gateway: all, core: 1 });
    assert.deepEqual(await many({ http }), { gateway: 1, core: 1 });
    assert.deepEqual(await many({ http: { net: 'unix', addr: 'x.sock' } }), {
      gateway: 1,
      core: 1,
    });
  });

  test('several where there can be only one are refused', async () => {
    await assert.rejects(settingsOf(of(1, 2)), /portcullis\.core\.workers: .*add a redis section/);
    const http = { net: 'unix', addr: 'x.sock' };
    await assert.rejects(
      settingsOf({ http, ...of(2, 1) }),
      /portcullis\.gateway\.workers: .*share a TCP port/,
    );
    for (const wrong of [0, -1, 1.5, 'many']) {
      await assert.rejects(
        settingsOf(of(wrong, 1)),
        /portcullis\.gateway\.workers: must be a whole number from 1 to 1024, or auto/,
      );
    }
  });

  test('a worker that listens by TCP has a port of its own, and gateways here know all', async () => {
    const { portcullis } = of(1, 3);
    const core = { ...portcullis.core, listen: '[::1]:5001' };
    const sections = {
      redis,
      http: { secret: 'x'.repeat(16) },
      portcullis: { ...portcullis, core },
    };
    const { internal } = await settingsOf(sections, 3);
    assert.deepEqual(internal.core, { listen: { host: '::1', port: 5003 }, isPrivate: false });
    assert.deepEqual(
      internal.cores,
      [5001, 5002, 5003].map((port) => ({ kind: 'tcp', host: '::1', port, tls: false })),
    );
  });

  test('processes that reach each other by TCP need a secret', async () => {
    const { portcullis } = of(1, 1);
    const remote: Record<string, unknown>[] = [
      { core: { listen: ':5001' } },
      { auth: { listen: ':5002' } },
      { gateway: { cores: ['http://core-1:5001'] } },
      { gateway: { auth: ['https://auth-1:5002'] } },
    ];
    for (const more of remote) {
      await assert.rejects(
        settingsOf({ portcullis: { ...portcullis, ...more } }),
        /http\.secret: /,
      );
    }
    const local = { ...portcullis, gateway: { cores: ['unix:/run/core.sock'] } };
    const { internal } = await settingsOf({ portcullis: local });
    assert.deepEqual(internal.cores, [{ kind: 'unix', socket: '/run/core.sock' }]);
    for (const wrong of [
      'core-1',
      'core-1:5001',
      'http://core-1',
      'ftp://core:1',
      'http://a:1/x',
    ]) {
      await assert.rejects(
        settingsOf({ portcullis: { ...portcullis, gateway: { cores: [wrong] } } }),
        /portcullis\.gateway\.cores: .* is not an address such as/,
      );
    }
  });
});
