/**
 * How long after its start a lone core serves reads, and takes writes: at the first start, after its predecessor was
 * killed, after the machine started anew, and in a new container on the same volume. As root, for `unshare`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { launcher } from '../support/stack.ts';

const rounds = Number(process.env.ROUNDS ?? 3);
const dir = await mkdtemp(join(tmpdir(), 'portcullis-start-'));
const root = join(dir, 'registry');
const config = join(dir, 'config.yml');
const socketPath = join(dir, 'sockets', 'core.sock');
const owner = join(root, 'docker/registry/v2/_portcullis/owner');

await mkdir(root);
await writeFile(
  config,
  stringify({
    version: '0.1',
    log: { level: 'error' },
    storage: { filesystem: { rootdirectory: root } },
    portcullis: { sockets: join(dir, 'sockets') },
  }),
);

async function ask(method: string, path: string): Promise<number> {
  return await new Promise((resolve) => {
    const outgoing = request({ socketPath, method, path, agent: false }, (incoming) => {
      incoming.resume().once('end', () => resolve(incoming.statusCode ?? 0));
    });
    outgoing.once('error', () => resolve(0));
    outgoing.end();
  });
}

async function until(started: number, wanted: number, method: string, path: string) {
  while ((await ask(method, path)) !== wanted) await sleep(10);
  return Math.round(performance.now() - started);
}

const inNamespace = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'];

/** Starts a core, takes the times, and kills it. */
async function measure(wrapper: readonly string[] = []): Promise<{ read: number; write: number }> {
  const [command = launcher, ...args] = [...wrapper, launcher, 'core', config];
  const started = performance.now();
  const child: ChildProcess = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const read = await until(started, 200, 'GET', '/v2/');
  const write = await until(started, 202, 'POST', '/v2/a/blobs/uploads/');
  child.kill('SIGKILL');
  await once(child, 'exit');
  // With its first process a namespace ends; the socket tells when.
  while ((await ask('GET', '/v2/')) !== 0) await sleep(10);
  return { read, write };
}

async function pretendReboot(): Promise<void> {
  const record = JSON.parse(await readFile(owner, 'utf8')) as { process: string };
  const [, ...rest] = record.process.split(' ');
  const process = ['00000000-0000-4000-8000-000000000000', ...rest].join(' ');
  await writeFile(owner, JSON.stringify({ ...record, process }));
}

const cases: Record<string, () => Promise<{ read: number; write: number }>> = {
  'first start': async () => {
    await rm(join(root, 'docker'), { recursive: true, force: true });
    return await measure();
  },
  'after kill -9': async () => {
    await measure();
    return await measure();
  },
  'after a reboot': async () => {
    await measure();
    await pretendReboot();
    return await measure();
  },
  'in a new PID namespace after kill -9': async () => {
    await measure(inNamespace);
    return await measure(inNamespace);
  },
};

const median = (list: number[]) => list.sort((a, b) => a - b)[Math.floor(list.length / 2)];
try {
  for (const [name, run] of Object.entries(cases)) {
    const times = [];
    for (let round = 0; round < rounds; round += 1) times.push(await run());
    const read = median(times.map((one) => one.read));
    const write = median(times.map((one) => one.write));
    process.stdout.write(`${name}: first read after ${read} ms, first write after ${write} ms\n`);
  }
} finally {
  await rm(dir, { recursive: true, force: true });
}
