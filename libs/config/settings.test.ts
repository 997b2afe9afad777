import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { stringify } from 'yaml';
import { createTemporaryFolder } from '../../test/support/temporary-folder.ts';
import { loadConfiguration } from './load-configuration.ts';
import { toSettings, workerAddress } from './settings.ts';

/** The settings of a configuration with these sections, as one of the workers sees them. */
async function settingsOf(sections: Record<string, unknown>, worker?: number) {
  await using folder = await createTemporaryFolder();
  const env = { REGISTRY_CONFIGURATION_PATH: join(folder.path, 'config.yml') };
  const tree = { version: '0.1', storage: { inmemory: {} }, ...sections };
  await writeFile(env.REGISTRY_CONFIGURATION_PATH, stringify(tree));
  return toSettings(await loadConfiguration(undefined, env), worker);
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
        /portcullis\.gateway\.workers: must be a whole number from 1 on, or auto/,
      );
    }
  });

  test('a worker that listens by TCP has a port of its own', () => {
    assert.deepEqual(workerAddress({ host: '::1', port: 5001 }, 1), { host: '::1', port: 5001 });
    assert.deepEqual(workerAddress({ port: 5001 }, 3), { port: 5003 });
  });
});
