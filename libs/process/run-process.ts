import { parseConfiguration } from '#libs/config/load-configuration.ts';
import { loadSettings } from '#libs/config/load-settings.ts';
import { type ProcessInstance, type Settings, toSettings } from '#libs/config/settings.ts';
import type { SeenFolder } from '#libs/files/known-folder.ts';
import { aggregateStatus } from '#libs/http/aggregate-status.ts';
import { serveDebug } from '#libs/http/debug-server.ts';
import { createProcessStatus, type ProcessStatus } from '#libs/http/process-status.ts';
import { createReadiness, type Readiness } from '#libs/http/readiness.ts';
import type { LogFormat } from '#libs/log/format-line.ts';
import { createLogger, type Logger } from '#libs/log/logger.ts';
import type { MetricsOptions } from '#libs/metrics/metrics.ts';
import { recoverFromClientFault } from '#libs/redis/client-fault.ts';
import type { ServiceName } from '../values/service-name.ts';
import { workerName } from '../values/worker-name.ts';
import { planDebug } from './debug-plan.ts';
import { freeStartUp } from './free-start-up.ts';
import { parseProcessArguments } from './process-arguments.ts';
import { assertAgreedSockets } from './socket-folder.ts';
import { listenForStop } from './stop-signals.ts';
import { isSupervised, startInstructions, tellSupervisor } from './supervisor-channel.ts';
import { countRejections, surviveRejections } from './survive-rejections.ts';
import { readVersion } from './version.ts';

/** A process that serves until it is stopped. */
export interface RunningProcess {
  /** What is told when it is ready, for the log. */
  address: string;
  /** Has a listener be told what is known of the storage, for one that is started in its place, which does not make it again. */
  followStorage?(listener: (seen: SeenFolder) => void): void;
  /** Stops accepting, lets what runs end within the drain time, and lets go of everything. */
  stop(): Promise<void>;
  /** Takes changed files without closing a connection. */
  reload?(): Promise<void>;
  /** Resolves with one clear sentence when it cannot go on: it is stopped in order then, with exit code 1. */
  failed?: Promise<Error>;
}

/** What a process is started with. */
export interface ProcessContext {
  settings: Settings;
  log: Logger;
  /** What its probes tell; it turns when the process is told to stop. */
  readiness: Readiness;
  /** Where it adds its checks and what it measures. */
  processStatus: ProcessStatus;
  /** Whether it was there before, and its supervisor starts it again: files may have changed since they were read. */
  isRestart: boolean;
  /** What it saw of its storage then: where that is not there now, its filesystem may not be mounted. */
  storageBefore?: SeenFolder | undefined;
}

export type StartProcess = (context: ProcessContext) => Promise<RunningProcess>;

/**
 * Runs one of our processes: configuration, log, signals, and the channel to the supervisor, if there
 * is one. Its arguments are {@link ProcessArguments}.
 * A start that fails is one sentence on standard error and exit code 1.
 */
export async function runProcess(service: ServiceName, start: StartProcess): Promise<void> {
  let name: string = service;
  let running: RunningProcess;
  let log: Logger | undefined;
  let format: LogFormat | undefined;
  const readiness = createReadiness();
  let drainDelay: number;
  // As the first process of a container it would not be ended by a signal that nobody listens to.
  const leave = () => process.exit(0);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, leave);
  if (isSupervised()) {
    // A supervisor that was killed may be gone since before anybody could listen.
    if (process.connected === false) leave();
    process.once('disconnect', leave);
  }
  try {
    const { config, worker, sockets } = parseProcessArguments(process.argv.slice(2));
    const instance = { worker, sockets };
    name = workerName(service, worker);
    const { settings, ...before } = await settingsFor(service, config, instance);
    ({ format } = settings.log);
    log = createLogger({ ...settings.log, process: name });
    endOnExceptions(log);
    if (!isSupervised()) log.info({ configuration: settings.configPath ?? 'built-in' }, 'starting');
    drainDelay = settings.drainDelay;
    let started = false;
    readiness.require(() => (started ? undefined : 'starting'));
    const processStatus = await openDebug({ service, worker, settings, log, readiness });
    surviveRejections(log, countRejections(processStatus.metrics));
    running = await start({ settings, log, readiness, processStatus, ...before });
    started = true;
  } catch (error) {
    const { message } = error as Error;
    // Where lines are JSON, all are.
    if (log !== undefined && format !== 'text') log.fatal(message);
    else process.stderr.write(`portcullis ${name}: ${message}\n`);
    tellSupervisor({ type: 'failed' });
    process.exit(1);
  }
  const { failed } = running;
  const cannotGoOn = failed?.then(({ message }) => {
    tellSupervisor({ type: 'failed' });
    return message;
  });
  listenForStop({ delay: drainDelay, readiness, log, stop: () => running.stop(), cannotGoOn });
  // Not before others listen: a signal that nobody listens to for a moment is lost.
  for (const event of ['SIGTERM', 'SIGINT', 'disconnect'] as const) process.off(event, leave);
  listenForReload(running, log);
  log.info({ address: running.address }, `${name} is ready`);
  tellSupervisor({ type: 'ready', address: running.address });
  freeStartUp();
  running.followStorage?.((storage) => tellSupervisor({ type: 'storage seen', storage }));
}

type Before = Pick<ProcessContext, 'isRestart' | 'storageBefore'>;

/**
 * What the supervisor was started with, whatever the file says by now: processes that are started anew are to agree
 * with those that run. Alone it is what the file says.
 * @throws Error with one clear sentence, or a line for each problem of the configuration
 */
async function settingsFor(
  service: ServiceName,
  config: string | undefined,
  instance: ProcessInstance,
): Promise<{ settings: Settings } & Before> {
  if (!isSupervised()) {
    const { settings } = await loadSettings(config, instance);
    assertAgreedSockets(settings, [service]);
    return { settings, isRestart: false };
  }
  const { configuration, access, begun, ...before } = await startInstructions();
  const settings = toSettings(await parseConfiguration(configuration), instance);
  await begun;
  if (access === undefined || settings.auth === undefined) return { settings, ...before };
  const { auth } = toSettings(await parseConfiguration(access), instance);
  const { groups, users } = auth ?? settings.auth;
  const inForce = { rules: auth?.rules, groups, users };
  return { settings: { ...settings, auth: { ...settings.auth, ...inForce } }, ...before };
}

interface DebugOptions {
  service: ServiceName;
  worker: number;
  settings: Settings;
  log: Logger;
  readiness: Readiness;
}

/** Has the process tell how it is, where the configuration wants it: from its first moment to its last. */
async function openDebug({
  service,
  worker,
  settings,
  log,
  readiness,
}: DebugOptions): Promise<ProcessStatus> {
  const supervised = isSupervised();
  const plan = planDebug({ service, worker }, settings, supervised);
  const { address, setting, measures, peers } = plan;
  const name = workerName(service, worker);
  const metrics = measures
    ? await loadMetrics({ process: name, version: await readVersion() })
    : undefined;
  const own = createProcessStatus(metrics);
  if (address === undefined) return own;
  const { metricsPath } = settings.debug;
  const processStatus = aggregateStatus({ process: name, processStatus: own }, peers);
  const { port } = await serveDebug({
    address,
    setting,
    metricsPath,
    readiness,
    processStatus,
    log,
  });
  log.info({ port }, 'the debug server is ready');
  return own;
}

/** What measures is loaded only where somebody wants to know: it takes 30 ms and some memory. */
async function loadMetrics(options: MetricsOptions) {
  const { createMetrics } = await import('#libs/metrics/metrics.ts');
  return createMetrics(options);
}

/** What nobody caught has left something half done: the process ends, and its supervisor starts it again. */
function endOnExceptions(log: Logger): void {
  process.on('uncaughtException', (error) => {
    if (recoverFromClientFault(error)) return;
    log.fatal({ err: error }, 'unexpected error; the process ends');
    process.exit(70);
  });
}

function listenForReload(running: RunningProcess, log: Logger): void {
  process.on('SIGHUP', () => {
    running.reload?.().catch((error: unknown) => log.error({ err: error }, 'reload failed'));
  });
}
