import assert from 'node:assert/strict';
import { chmod, mkdir, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { createTemporaryFolder } from '../../../test/support/temporary-folder.ts';
import { assertAgreedSockets } from '../../process/socket-folder.ts';
import { parseConfiguration } from '../load-configuration.ts';
import { toSettings } from '../settings.ts';
import { chooseSocketFolder } from './socket-paths.ts';

const uid = process.getuid?.() ?? 0;
const nothing = { told: undefined, configured: undefined, identity: ['a'] };

describe('the folder of the sockets', () => {
  test('is where the supervisor says, or the configuration', async () => {
    await using folder = await createTemporaryFolder();
    const places = { system: folder.path, session: undefined, uid };
    const configured = { ...nothing, configured: '/run/mine' };
    assert.deepEqual(chooseSocketFolder(configured, places), {
      folder: '/run/mine',
      isAgreed: true,
    });
    const told = { ...configured, told: '/run/told' };
    assert.equal(chooseSocketFolder(told, places).folder, '/run/told');
  });

  test('is the same for all processes of one registry, where only we can make it', async () => {
    await using folder = await createTemporaryFolder();
    const system = join(folder.path, 'system');
    const session = join(folder.path, 'session');
    await mkdir(system, { mode: 0o755 });
    await mkdir(session, { mode: 0o700 });
    const places = { system, session, uid };
    const first = chooseSocketFolder(nothing, places);
    assert.equal(dirname(first.folder), system);
    assert.ok(first.isAgreed);
    assert.deepEqual(chooseSocketFolder(nothing, places), first);
    const other = chooseSocketFolder({ ...nothing, identity: ['b'] }, places);
    assert.notEqual(other.folder, first.folder);
    const without = chooseSocketFolder(nothing, { ...places, system: '/proc/none/none' });
    assert.equal(dirname(without.folder), join(session, 'portcullis'));
  });

  test('is one that nobody can tell beforehand, where others can make one', async () => {
    await using folder = await createTemporaryFolder();
    const open = join(folder.path, 'open');
    await mkdir(open);
    await chmod(open, 0o1777);
    const link = join(folder.path, 'link');
    await symlink(folder.path, link);
    for (const [system, session, who] of [
      [open, open, uid],
      [link, link, uid],
      [folder.path, folder.path, uid + 1],
      ['/proc/none/none', undefined, uid],
      ['/proc/none/none', 'relative', uid],
    ] as const) {
      const places = { system, session, uid: who };
      const { folder: first, isAgreed } = chooseSocketFolder(nothing, places);
      assert.equal(isAgreed, false);
      assert.equal(dirname(first), tmpdir());
      assert.match(first, /portcullis-[\w-]{16}$/);
      assert.notEqual(chooseSocketFolder(nothing, places).folder, first);
    }
  });
});

test('processes that are started one by one need a folder that all of them know', async () => {
  const settingsOf = async (lines: string) => {
    const text = `version: 0.1\nstorage: inmemory\n${lines}\n`;
    const settings = toSettings(await parseConfiguration({ path: 'config.yml', text }, {}));
    const folder = '/tmp/portcullis-x';
    const here = (path: string) => path.replace(settings.sockets.folder, folder);
    return JSON.parse(
      here(JSON.stringify(settings)).replaceAll(settings.sockets.folder, folder),
      (key, value: unknown) => (key === 'isAgreed' ? false : value),
    ) as typeof settings;
  };
  const plain = await settingsOf('');
  for (const service of ['core', 'gateway'] as const) {
    assert.throws(() => assertAgreedSockets(plain, [service]), /^Error: portcullis\.sockets: /);
  }
  assert.doesNotThrow(() => assertAgreedSockets(plain, ['core', 'gateway']));
  const byTcp = await settingsOf(
    'http: { secret: 0123456789abcdef }\nportcullis: { core: { listen: ":5001" } }',
  );
  for (const service of ['core', 'gateway'] as const) {
    assert.doesNotThrow(() => assertAgreedSockets(byTcp, [service]));
  }
});
