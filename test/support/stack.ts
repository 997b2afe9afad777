import type { ChildProcess } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from './free-port.ts';
import { spawn } from './spawn.ts';
import { waitFor } from './wait-for.ts';

export const launcher = fileURLToPath(new URL('../../bin/portcullis', import.meta.url));

/** With E2E_HTTP2=1 every stack speaks HTTP/2 too. */
const speaking: Record<string, string> =
  process.env.E2E_HTTP2 === '1' ? { REGISTRY_HTTP_HTTP2_DISABLED: 'false' } : {};

export interface StackOptions {
  /** Folder of an earlier stack to start again; a new temporary one without it. */
  dir?: string;
  port?: number;
  /** Name by which clients call it. */
  host?: string;
  env?: Record<string, string>;
  /** Arguments instead of `quickstart …`. */
  args?: string[];
}

/** The three processes as `make run` starts them. */
export interface Stack {
  dir: string;
  port: number;
  url: string;
  ca: string;
  /** The first user's password, shown at the first start only. */
  password: string;
  /** What it wrote to standard output and standard error so far. */
  output(): string;
  /** The supervisor's process. */
  child: ChildProcess;
  /** Ends it in order, without a signal at once as Ctrl-C does, and waits; the folder stays. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
  /** Ends it and removes the folder. */
  remove(): Promise<void>;
}

/** Starts a stack and waits until it says that it is ready. @throws Error with its output if it ends */
export async function startStack(options: StackOptions = {}): Promise<Stack> {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'portcullis-test-')));
  const port = options.port ?? (await freePort());
  const host = options.host ?? 'localhost';
  const args = options.args ?? ['quickstart', '--dir', dir, '--host', host, '--port', `${port}`];
  const child = spawn(launcher, args, {
    env: { ...process.env, ...speaking, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  // `exitCode` is set before the last output arrives; `close` comes after it.
  let closed = false;
  child.once('close', () => {
    closed = true;
  });
  const stop = async (signal: NodeJS.Signals = 'SIGINT') => {
    if (!closed) {
      child.kill(signal);
      await waitFor('the stack to stop', () => closed);
    }
    return child.exitCode;
  };
  try {
    await waitFor('the stack to be ready', () => {
      if (closed) throw new Error(`the stack ended with ${child.exitCode}:\n${output}`);
      return output.includes('Portcullis is ready');
    });
  } catch (error) {
    await stop('SIGKILL');
    throw error;
  }
  return {
    dir,
    port,
    url: `https://${host}:${port}`,
    ca: join(dir, 'certs', 'ca.crt'),
    password: /Password +(\S+)/.exec(output)?.[1] ?? '',
    output: () => output,
    child,
    stop,
    async remove() {
      await stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Process ids of the children of a process that run one of our services. */
export async function servicePids(parent: number, service: string): Promise<number[]> {
  const children = await readFile(`/proc/${parent}/task/${parent}/children`, 'utf8');
  const found: number[] = [];
  for (const pid of children.trim().split(' ').filter(Boolean).map(Number)) {
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    if (command.includes(`services/${service}/main.ts`)) found.push(pid);
  }
  return found;
}
