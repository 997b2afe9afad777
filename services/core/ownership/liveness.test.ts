import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  createTemporaryFolder,
  type TemporaryFolder,
} from '../../../test/support/temporary-folder.ts';
import { paths } from '../registry/paths.ts';
import { createDriver } from '../storage/create-driver.ts';
import type { StorageDriver } from '../storage/driver.ts';
import { askSocket, openClaimSocket } from './claim-socket.ts';
import { createLivenessProbe } from './liveness.ts';
import type { OwnerRecord } from './owner-record.ts';
import { describeProcess } from './process-identity.ts';
import type { TreeState } from './tree-state.ts';

const linux = process.platform === 'linux' ? false : 'needs /proc';

/** A process that opens the socket and is killed. */
async function leaveSocket(path: string): Promise<void> {
  const module = fileURLToPath(new URL('claim-socket.ts', import.meta.url));
  const script = `await (await import(${JSON.stringify(module)})).openClaimSocket(${JSON.stringify(path)});
    process.stdout.write('open'); setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script]);
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
}

describe('what this machine can prove of an owner', { skip: linux }, () => {
  let folder: TemporaryFolder;
  let driver: StorageDriver;

  beforeEach(async () => {
    folder = await createTemporaryFolder();
    await use(folder.path);
  });

  afterEach(async () => {
    await folder.remove();
  });

  async function use(root: string) {
    driver = await createDriver({ storage: { driver: 'filesystem', root }, readOnly: false });
    await mkdir(dirname(socketPath()), { recursive: true });
  }

  const socketPath = () => String(driver.localPath?.(paths.claimSocket(3)));
  /** The same filesystem, as if others could have it as well. */
  const onNetwork = () =>
    new Proxy(driver, {
      get: (target, name) =>
        name === 'belongsToThisMachine'
          ? async () => false
          : (Reflect.get(target, name) as (() => void) | undefined)?.bind?.(target),
    });
  const record = (process: string, claim: number | undefined = 3): OwnerRecord => ({
    id: 'other',
    counter: 1,
    host: 'elsewhere',
    process,
    claim,
  });
  const state = (owner: OwnerRecord | undefined, claimed = true): TreeState => ({
    claim: claimed ? { number: 3, released: false } : undefined,
    record: owner,
    signs: '',
  });
  const withBoot = async (boot: string) => {
    const [, ...rest] = (await describeProcess(process.pid)).split(' ');
    return [boot, ...rest].join(' ');
  };

  test('a socket that accepts is a living owner’s, on any filesystem', async () => {
    const socket = await openClaimSocket(socketPath());
    for (const one of [driver, onNetwork()]) {
      assert.equal(
        await createLivenessProbe(one)(state(record(await withBoot('another')))),
        'alive',
      );
    }
    await socket.close();
    assert.deepEqual(await readdir(dirname(socketPath())), []);
    assert.equal(await createLivenessProbe(driver)(state(record(''))), 'unknown');
  });

  test('a socket that refuses is a dead owner’s, where nobody else can have the filesystem', async () => {
    await leaveSocket(socketPath());
    assert.equal(await createLivenessProbe(driver)(state(record(''))), 'dead');
    assert.equal(await createLivenessProbe(driver)(state(undefined)), 'dead');
    assert.equal(await createLivenessProbe(onNetwork())(state(record(''))), 'unknown');
  });

  test('a path longer than a socket’s may be does as well', async () => {
    await use(join(folder.path, 'x'.repeat(120)));
    const socket = await openClaimSocket(socketPath());
    assert.equal(await askSocket(socketPath()), 'accepted');
    await socket.close();
    assert.equal(await askSocket(socketPath()), 'unknown');
    await leaveSocket(socketPath());
    assert.equal(await askSocket(socketPath()), 'refused');
  });

  test('a path that is taken, or is no socket, proves nothing', async () => {
    await writeFile(socketPath(), '');
    await assert.rejects(openClaimSocket(socketPath()), { code: 'EADDRINUSE' });
    assert.equal(await createLivenessProbe(onNetwork())(state(record(''))), 'unknown');
  });

  test('an owner of another boot is dead, where nobody else can have the filesystem', async () => {
    const other = record(await withBoot('another'));
    assert.equal(await createLivenessProbe(driver)(state(other)), 'dead');
    assert.equal(await createLivenessProbe(onNetwork())(state(other)), 'unknown');
  });

  test('a process of this system that is no more is dead anywhere', async () => {
    const [boot, namespace] = (await describeProcess(process.pid)).split(' ');
    const gone = record([boot, namespace, 4_194_305, 1].join(' '));
    assert.equal(await createLivenessProbe(onNetwork())(state(gone)), 'dead');
    assert.equal(
      await createLivenessProbe(onNetwork())(state({ ...gone, claim: undefined }, false)),
      'dead',
    );
    const elsewhere = record([boot, 'pid:[1]', 4_194_305, 1].join(' '));
    assert.equal(await createLivenessProbe(driver)(state(elsewhere)), 'unknown');
  });

  test('of one that claimed and another that wrote the record both must be dead', async () => {
    const [boot, namespace] = (await describeProcess(process.pid)).split(' ');
    const gone = record([boot, namespace, 4_194_305, 1].join(' '));
    const writer = { ...gone, claim: undefined };
    assert.equal(await createLivenessProbe(driver)(state(writer)), 'unknown');
    await leaveSocket(socketPath());
    assert.equal(await createLivenessProbe(driver)(state(writer)), 'dead');
    const here = { ...writer, process: await describeProcess(process.pid) };
    assert.equal(await createLivenessProbe(driver)(state(here)), 'unknown');
    // Whoever made an earlier claim sees the later one.
    assert.equal(await createLivenessProbe(driver)(state({ ...here, claim: 2 })), 'dead');
  });
});
