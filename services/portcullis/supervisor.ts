import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Logger } from '#libs/log/logger.ts';
import type { ProcessMessage } from '#libs/process/run-process.ts';

export type ServiceName = 'gateway' | 'auth' | 'core';

/** Milliseconds before a child that died is started again; grows while it keeps dying. */
const backoff = { first: 500, most: 30_000, forgetAfter: 60_000 };

/** A child that does not stop by itself is killed this long after its drain time, in milliseconds. */
const killAfter = 5000;

export interface SupervisorOptions {
  /** The configuration file; undefined for the built-in one. */
  config: string | undefined;
  /** The last is started when the others are ready; they are stopped in the reverse order. */
  services: readonly ServiceName[];
  log: Logger;
  /** Milliseconds a child may take to end what runs. */
  drainTimeout: number;
}

/** Keeps one of each service running. */
export interface Supervisor {
  /**
   * Starts everything.
   * @returns the address of the last, the gateway
   * @throws StartFailed if one cannot start; it has said why itself, and the others are stopped
   */
  start(): Promise<string>;
  stop(): Promise<void>;
  /** Has every child take changed files. */
  reload(): void;
  /** Ends everything at once. */
  kill(): void;
}

/** A child said on standard error why it cannot start. */
export class StartFailed extends Error {}

export function createSupervisor(options: SupervisorOptions): Supervisor {
  const { services, log } = options;
  const children = new Map<ServiceName, ChildProcess>();
  const failures = new Map<ServiceName, number>();
  /** Those that are ready. */
  const running = new Set<ChildProcess>();
  let stopping = false;

  async function launch(name: ServiceName): Promise<string> {
    // Told to stop while another was starting: nobody would end this one.
    if (stopping) throw new StartFailed(`${name} was not started: everything is stopping`);
    const script = fileURLToPath(new URL(`../${name}/main.ts`, import.meta.url));
    const child = fork(script, options.config === undefined ? [] : [options.config], {
      // A group of its own: Ctrl-C reaches the supervisor, which stops its children in order.
      detached: true,
      execArgv: ['--disable-warning=DEP0060'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    children.set(name, child);
    const startedAt = performance.now();
    let ready = false;
    return await new Promise((resolve, reject) => {
      child.on('message', (message: ProcessMessage) => {
        if (message.type !== 'ready') return;
        ready = true;
        running.add(child);
        resolve(message.address);
      });
      child.once('error', reject);
      child.once('exit', (code, signal) => {
        running.delete(child);
        if (children.get(name) === child) children.delete(name);
        if (stopping) return;
        if (ready) restart(name, startedAt, signal ?? `exit code ${code}`);
        else reject(new StartFailed(`${name} could not start`));
      });
    });
  }

  function restart(name: ServiceName, startedAt: number, why: string): void {
    const lived = performance.now() - startedAt;
    const count = lived > backoff.forgetAfter ? 0 : (failures.get(name) ?? 0);
    failures.set(name, count + 1);
    const delay = Math.min(backoff.most, backoff.first * 2 ** count);
    log.error({ service: name, why, restartInMs: delay }, 'a process died; starting it again');
    setTimeout(() => {
      if (stopping) return;
      launch(name).then(
        () => log.info({ service: name }, 'the process is back'),
        () => restart(name, performance.now(), 'it could not start'),
      );
    }, delay);
  }

  async function end(name: ServiceName): Promise<void> {
    const child = children.get(name);
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), options.drainTimeout + killAfter);
    await ended;
    clearTimeout(timer);
  }

  async function stop(): Promise<void> {
    stopping = true;
    for (const name of [...services].reverse()) await end(name);
  }

  return {
    async start() {
      let address = '';
      try {
        const last = services.length - 1;
        await Promise.all(services.slice(0, last).map(launch));
        for (const name of services.slice(last)) address = await launch(name);
      } catch (error) {
        await stop();
        throw error;
      }
      return address;
    },
    stop,
    reload() {
      // One that is still starting reads the files anyway, and has no ear for the signal yet.
      for (const child of running) child.kill('SIGHUP');
    },
    kill() {
      stopping = true;
      for (const child of children.values()) child.kill('SIGKILL');
    },
  };
}
