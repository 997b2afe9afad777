import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { type FileHandle, mkdir, open, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { freePort } from '../support/free-port.ts';
import { mustRun, run } from '../support/run.ts';
import { spawn } from '../support/spawn.ts';
import { launcher, servicePids } from '../support/stack.ts';
import { createTemporaryFolder, type TemporaryFolder } from '../support/temporary-folder.ts';
import { waitFor } from '../support/wait-for.ts';

const MiB = 1024 * 1024;

/** Reads what is there, and gives how many bytes that was. */
async function readSome(reader: FileHandle, buffer: Buffer): Promise<number> {
  try {
    return (await reader.read(buffer, 0, buffer.length)).bytesRead;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return 0;
    throw error;
  }
}

/** Milliseconds of processor time that a process took. */
async function timeOf(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

describe('whoever reads the log', () => {
  let folder: TemporaryFolder;
  let child: ChildProcess;
  let url: string;

  beforeEach(async () => {
    folder = await createTemporaryFolder();
    await mkdir(join(folder.path, 'registry'));
  });

  afterEach(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    await folder.remove();
  });

  /** Starts a registry that writes to an open file. */
  async function serve(output: FileHandle): Promise<number[]> {
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    const config = join(folder.path, 'config.yml');
    await writeFile(
      config,
      stringify({
        version: '0.1',
        storage: { filesystem: { rootdirectory: join(folder.path, 'registry') } },
        http: { addr: `127.0.0.1:${port}`, draintimeout: '1s' },
        portcullis: { audit: 'stdout' },
      }),
    );
    child = spawn(launcher, ['serve', config], { stdio: ['ignore', output.fd, output.fd] });
    await output.close();
    await waitFor('it to serve', async () => (await ask().catch(() => undefined)) === 200);
    return await pids();
  }

  async function pids(): Promise<number[]> {
    const supervisor = child.pid ?? 0;
    const services = ['core', 'gateway'].map((name) => servicePids(supervisor, name));
    return [supervisor, ...(await Promise.all(services)).flat()];
  }

  /** A pipe, and its end that is read. */
  async function makePipe(): Promise<{ reader: FileHandle; writer: FileHandle }> {
    const path = join(folder.path, 'pipe');
    await mustRun('mkfifo', [path]);
    const reader = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    return { reader, writer: await open(path, 'w') };
  }

  const ask = async () => (await fetch(`${url}/v2/`)).status;
  const push = async () =>
    (await fetch(`${url}/v2/team/app/blobs/uploads/`, { method: 'POST' })).status;

  async function assertServes(expected: readonly number[]): Promise<void> {
    for (let count = 0; count < 200; count += 1) assert.equal(await ask(), 200);
    assert.equal(await push(), 202);
    assert.deepEqual(await pids(), expected, 'the same processes');
  }

  /** Requests whose lines in the log are as long as one gets: each is more than 1 KiB. */
  async function fillLog(requests: number): Promise<void> {
    const long = `${url}/v2/${'x'.repeat(2000)}`;
    const headers = { 'User-Agent': 'x'.repeat(2000) };
    for (let sent = 0; sent < requests; sent += 50) {
      await Promise.all(
        Array.from({ length: 50 }, async () => await (await fetch(long, { headers })).text()),
      );
    }
  }

  async function assertStops(): Promise<void> {
    child.kill('SIGTERM');
    await waitFor('the end', () => child.exitCode !== null);
    assert.equal(child.exitCode, 0);
  }

  test('may go away after a line: the registry goes on, and does not spin', async () => {
    const { reader, writer } = await makePipe();
    const processes = await serve(writer);
    await reader.close();
    await assertServes(processes);
    const before = await Promise.all(processes.map(timeOf));
    await sleep(2000);
    const spent = (await Promise.all(processes.map(timeOf))).map((ms, i) => ms - (before[i] ?? 0));
    assert.ok(Math.max(...spent) < 1000, `${spent} ms of processor time in 2 s`);
    await assertServes(processes);
    await assertStops();
  });

  test('may stop reading: the registry goes on, and keeps a bounded part of the log', async () => {
    const { reader, writer } = await makePipe();
    const processes = await serve(writer);
    // More than twice what a process keeps for a reader. What it kept comes out once somebody reads again.
    await fillLog(10_000);
    await assertServes(processes);
    const kept = { bytes: 0, text: '' };
    const buffer = Buffer.alloc(MiB);
    await waitFor('word of the lines that were lost', async () => {
      await ask();
      const size = await readSome(reader, buffer);
      kept.bytes += size;
      kept.text = kept.text.slice(-100) + buffer.toString('latin1', 0, size);
      return kept.text.includes('lines of this log were lost');
    });
    assert.ok(kept.bytes < 8 * MiB, `${kept.bytes} bytes were kept`);
    await assertStops();
    await reader.close();
  });

  test('may be a file on a full disk', async () => {
    const processes = await serve(await open('/dev/full', 'w'));
    await assertServes(processes);
    await assertStops();
  });
});

test('where lines are JSON, why it cannot start is a line as well', async () => {
  await using folder = await createTemporaryFolder();
  const config = join(folder.path, 'config.yml');
  const port = await freePort();
  const taken = createServer().listen(port, '127.0.0.1');
  await once(taken, 'listening');
  try {
    for (const [addr, words, expected] of [
      [`127.0.0.1:${port}`, ['serve'], /already in use/],
      ['name.invalid:0', ['serve'], /name\.invalid/],
      ['name.invalid:0', ['gateway'], /name\.invalid/],
    ] as const) {
      await writeFile(
        config,
        stringify({
          version: '0.1',
          log: { formatter: 'json' },
          storage: { inmemory: {} },
          http: { addr },
          portcullis: { sockets: join(folder.path, 'sockets') },
        }),
      );
      const { code, stdout, stderr } = await run(launcher, [...words, config]);
      assert.equal(code, 1);
      assert.equal(stderr, '');
      const lines = stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as { msg: string });
      assert.ok(
        lines.some(({ msg }) => expected.test(msg)),
        stdout,
      );
    }
  } finally {
    taken.close();
  }
});
