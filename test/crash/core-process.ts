import type { ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { spawn } from '../support/spawn.ts';
import { launcher } from '../support/stack.ts';
import { waitFor } from '../support/wait-for.ts';

const interrupt = fileURLToPath(new URL('interrupt.ts', import.meta.url));

export interface Answer {
  status: number;
  headers: NodeJS.Dict<string | string[]>;
  body: Buffer;
}

export interface Ask {
  body?: Buffer;
  headers?: Record<string, string>;
}

/** A real core in a process of its own, whose storage steps can be interrupted. */
export interface CoreProcess {
  /** The folder of the registry. */
  root: string;
  /** @throws Error if the core dies before it has answered */
  ask(method: string, path: string, ask?: Ask): Promise<Answer>;
  /** From now on counts steps; at the given one `what` happens. */
  arm(step: number, what: 'kill' | 'count' | 'EIO' | 'ENOSPC'): Promise<void>;
  /** Steps since the last `arm`. */
  steps(): Promise<number>;
  /** Nothing happens any more. */
  disarm(): Promise<void>;
  /** True when the process is no more. */
  isDead(): boolean;
  kill(): Promise<void>;
  /** Starts it, after it died or was killed. */
  start(): Promise<void>;
  remove(): Promise<void>;
}

export async function startCoreProcess(): Promise<CoreProcess> {
  const dir = await mkdtemp(join(tmpdir(), 'portcullis-crash-'));
  const root = join(dir, 'registry');
  const control = join(dir, 'control');
  const config = join(dir, 'config.yml');
  const sockets = join(dir, 'sockets');
  await mkdir(root);
  await writeFile(
    config,
    stringify({
      version: '0.1',
      log: { level: 'error' },
      storage: { filesystem: { rootdirectory: root }, delete: { enabled: true } },
      http: { addr: '127.0.0.1:0' },
      portcullis: { sockets },
    }),
  );
  let child: ChildProcess | undefined;
  let output = '';
  let agent = new Agent({ keepAlive: true });
  let orders = 0;
  const isDead = () => child === undefined || child.exitCode !== null || child.signalCode !== null;

  const core: CoreProcess = {
    root,
    isDead,
    async ask(method, path, { body, headers = {} } = {}) {
      return await new Promise((resolve, reject) => {
        const length = body === undefined ? {} : { 'Content-Length': String(body.length) };
        const outgoing = request(
          {
            agent,
            socketPath: join(sockets, 'core.sock'),
            method,
            path,
            headers: { ...length, ...headers },
          },
          (incoming) => {
            const chunks: Buffer[] = [];
            incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
            incoming.once('error', reject);
            incoming.once('end', () => {
              const { statusCode: status = 0, headers: answered } = incoming;
              resolve({ status, headers: answered, body: Buffer.concat(chunks) });
            });
          },
        );
        outgoing.once('error', reject);
        outgoing.end(body);
      });
    },
    async arm(step, what) {
      orders += 1;
      await writeFile(`${control}.seen`, '0');
      await writeFile(control, `${step} ${what} ${orders}`);
    },
    async steps() {
      return Number(await readFile(`${control}.seen`, 'utf8'));
    },
    async disarm() {
      await rm(control, { force: true });
    },
    async kill() {
      child?.kill('SIGKILL');
      await waitFor('the core to die', isDead);
    },
    async start() {
      agent.destroy();
      agent = new Agent({ keepAlive: true });
      output = '';
      child = spawn(launcher, ['core', config], {
        env: {
          ...process.env,
          NODE_OPTIONS: `--import=${interrupt}`,
          CRASH_ROOT: root,
          CRASH_CONTROL: control,
        },
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      child.stderr?.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
      await waitFor('the core to take writes', async () => {
        if (isDead()) throw new Error(`the core ended: ${output}`);
        return await core.ask('GET', '/readyz').then(
          ({ body }) => body.toString() === '{"status":"ok"}',
          () => false,
        );
      });
    },
    async remove() {
      if (!isDead()) await core.kill();
      agent.destroy();
      await rm(dir, { recursive: true, force: true });
    },
  };
  await core.start();
  return core;
}
