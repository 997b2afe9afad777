import { type ChildProcess, fork } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ConfigurationSource } from '#libs/config/load-configuration.ts';
import type { SeenFolder } from '#libs/files/known-folder.ts';
import type { Logger } from '#libs/log/logger.ts';
import { formatProcessArguments } from '#libs/process/process-arguments.ts';
import type { ProcessMessage, SupervisorMessage } from '#libs/process/supervisor-channel.ts';
import type { ServiceName } from '#libs/values/service-name.ts';
import { workerName } from '#libs/values/worker-name.ts';
import { nodeOptionsFor } from './node-options.ts';

/** One process among those of its service; numbers count from 1. */
interface Worker {
  service: ServiceName;
  number: number;
}

/** Milliseconds before a child that died is started again; grows while it keeps dying. */
const backoff = { first: 500, most: 30_000, forgetAfter: 60_000 };

/** A child that does not stop by itself is killed this long after its drain time, in milliseconds. */
const killAfter = 5000;

export interface SupervisorOptions {
  /** What all of them act on as long as this one runs. */
  configuration: ConfigurationSource;
  /** The folder of the sockets between the children. */
  sockets: string;
  /** The last begins when the others are ready; they are stopped in the reverse order. */
  services: readonly ServiceName[];
  /** Processes of each service. */
  workers: Readonly<Record<ServiceName, number>>;
  /** Those that somebody else chooses among: they say that they are about to stop. */
  chosen: readonly ServiceName[];
  log: Logger;
  /** Milliseconds a child may take to end what runs. */
  drainTimeout: number;
}

/** Keeps the processes of each service running. */
export interface Supervisor {
  /**
   * Starts everything: of each service one, and when that is ready the others of it, so that what keeps
   * all of them from starting is said once.
   * @returns the address of the last, the gateway
   * @throws StartFailed if one cannot start; it has said why itself, and the others are stopped
   */
  start(): Promise<string>;
  /** What the processes of a service have told as their addresses. */
  addressesOf(service: ServiceName): string[];
  /** @param delay milliseconds in which everything goes on, so that nobody chooses us any more */
  stop(delay?: number): Promise<void>;
  /** Resolves when a child that served says that it cannot go on, and that starting it again would not help. */
  readonly failed: Promise<void>;
  /** Has every child take changed files. */
  reload(): void;
  /** Ends everything at once. */
  kill(): void;
}

/** A child said on standard error why it cannot start. */
export class StartFailed extends Error {}

export function createSupervisor(options: SupervisorOptions): Supervisor {
  const { services, log } = options;
  /** By their workers' names. */
  const children = new Map<string, ChildProcess>();
  /** What they have told as theirs. */
  const addresses = new Map<string, string>();
  const failures = new Map<string, number>();
  const launched = new Set<string>();
  /** Those whose storage was there. */
  const storageOf = new Map<string, SeenFolder>();
  let access: ConfigurationSource | undefined;
  /** Those that are ready. */
  const running = new Set<ChildProcess>();
  const failed = Promise.withResolvers<void>();
  let stopping = false;
  /** Those that were to end while they were starting: a signal that comes before they listen is lost. */
  const ending = new Set<ChildProcess>();
  const now = new AbortController();

  const workersOf = (service: ServiceName): Worker[] =>
    Array.from({ length: options.workers[service] }, (_, index) => ({
      service,
      number: index + 1,
    }));

  /** @param others who are to be ready before this one begins; it is loaded and reads its configuration meanwhile */
  async function launch(worker: Worker, others?: Promise<void>): Promise<string> {
    const { service, number } = worker;
    const name = workerName(service, number);
    // Told to stop while another was starting: nobody would end this one.
    if (stopping) throw new StartFailed(`${name} was not started: everything is stopping`);
    const script = fileURLToPath(new URL(`../${service}/main.ts`, import.meta.url));
    const { configuration, sockets } = options;
    const { path: config } = configuration;
    const words = formatProcessArguments({ config, worker: number, sockets, isSupervised: true });
    const child = fork(script, words, {
      // A group of its own: Ctrl-C reaches the supervisor, which stops its children in order.
      detached: true,
      execArgv: nodeOptionsFor(service),
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    children.set(name, child);
    const before = { isRestart: launched.has(name), storageBefore: storageOf.get(name) };
    const waits = others !== undefined;
    tell(child, { type: 'start', configuration, access, ...before, waits });
    // Where they fail everything is stopped.
    others?.then(
      () => tell(child, { type: 'begin' }),
      () => {},
    );
    launched.add(name);
    const startedAt = performance.now();
    let ready = false;
    return await new Promise((resolve, reject) => {
      child.on('message', (message: ProcessMessage) => {
        if (message.type === 'failed' && ready) failed.resolve();
        // Whoever else says so has been taken over.
        if (message.type === 'access' && service === 'auth') ({ access } = message);
        if (message.type === 'storage seen') storageOf.set(name, message.storage);
        if (message.type !== 'ready') return;
        ready = true;
        running.add(child);
        addresses.set(name, message.address);
        resolve(message.address);
        if (ending.has(child)) tell(child, { type: 'stop' });
      });
      // Also what is not allowed to us later, as to signal somebody who became another user.
      child.on('error', (error) => {
        if (ready) log.warn({ err: error, service: name }, 'the process does not respond');
        else reject(error);
      });
      child.once('exit', (code, signal) => {
        running.delete(child);
        if (children.get(name) === child) children.delete(name);
        if (stopping) return;
        if (ready) restart(worker, startedAt, signal ?? `exit code ${code}`);
        else reject(new StartFailed(`${name} could not start`));
      });
    });
  }

  /** @returns the address of the first */
  async function launchService(service: ServiceName, before?: Promise<void>): Promise<string> {
    const [first, ...others] = workersOf(service);
    const address = await launch(first ?? { service, number: 1 }, before);
    await Promise.all(others.map((worker) => launch(worker)));
    return address;
  }

  function restart(worker: Worker, startedAt: number, why: string): void {
    const name = workerName(worker.service, worker.number);
    const lived = performance.now() - startedAt;
    const count = lived > backoff.forgetAfter ? 0 : (failures.get(name) ?? 0);
    failures.set(name, count + 1);
    const delay = Math.min(backoff.most, backoff.first * 2 ** count);
    log.error(
      { service: name, why, restartInMs: delay },
      'a process exited unexpectedly; restarting it',
    );
    setTimeout(() => {
      if (stopping) return;
      launch(worker).then(
        () => log.info({ service: name }, 'the process was restarted'),
        () => restart(worker, performance.now(), 'it could not start'),
      );
    }, delay);
  }

  async function end({ service, number }: Worker): Promise<void> {
    const child = children.get(workerName(service, number));
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    ending.add(child);
    // One that is still starting has no ear for messages; it ends by itself when its supervisor is gone, which needs
    // no right to signal it.
    if (running.has(child)) tell(child, { type: 'stop' });
    else if (!child.kill('SIGTERM') && child.connected) child.disconnect();
    const timer = setTimeout(() => child.kill('SIGKILL'), options.drainTimeout + killAfter);
    await ended;
    clearTimeout(timer);
  }

  function tell(child: ChildProcess, message: SupervisorMessage): void {
    // What fails is that it is gone, which its end tells as well.
    if (child.connected) child.send(message, () => {});
  }

  async function stop(delay = 0): Promise<void> {
    stopping = true;
    if (delay > 0) {
      for (const worker of options.chosen.flatMap(workersOf)) {
        const child = children.get(workerName(worker.service, worker.number));
        if (child !== undefined) tell(child, { type: 'drain' });
      }
      await sleep(delay, undefined, { signal: now.signal }).catch(() => {});
    }
    for (const service of [...services].reverse()) await Promise.all(workersOf(service).map(end));
  }

  return {
    async start() {
      const [last, ...others] = [...services].reverse();
      if (last === undefined) return '';
      try {
        const ready = Promise.all(others.map((service) => launchService(service))).then(() => {});
        const [address] = await Promise.all([launchService(last, ready), ready]);
        return address;
      } catch (error) {
        await stop();
        throw error;
      }
    },
    addressesOf: (service) =>
      workersOf(service).flatMap(({ number }) => addresses.get(workerName(service, number)) ?? []),
    stop,
    failed: failed.promise,
    reload() {
      // One that is still starting reads the files anyway, and has no ear for the signal yet.
      for (const child of running) child.kill('SIGHUP');
    },
    kill() {
      stopping = true;
      now.abort();
      for (const child of children.values()) child.kill('SIGKILL');
    },
  };
}
