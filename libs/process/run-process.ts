import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { ConfigurationError, loadConfiguration } from '#libs/config/load-configuration.ts';
import { type Settings, toSettings } from '#libs/config/settings.ts';
import { serveDebug } from '#libs/http/debug-server.ts';
import { createReadiness, type Readiness } from '#libs/http/readiness.ts';
import { createSelfReport, type SelfReport } from '#libs/http/self-report.ts';
import { joinReports } from '#libs/http/whole-report.ts';
import { createLogger, type Logger } from '#libs/log/logger.ts';
import type { MetricsOptions } from '#libs/metrics/metrics.ts';
import { planDebug } from './debug-plan.ts';
import type { ServiceName } from './service-name.ts';
import { readVersion } from './version.ts';
import { workerName } from './worker-name.ts';

/** A process that serves until it is stopped. */
export interface RunningProcess {
  /** What is told when it is ready, for the log. */
  address: string;
  /** Stops accepting, lets what runs end within the drain time, and lets go of everything. */
  stop(): Promise<void>;
  /** Takes changed files without closing a connection. */
  reload?(): Promise<void>;
}

/**
 * @param readiness what the process' probes tell; it turns when the process is told to stop
 * @param report where it adds its checks and what it measures
 */
export type StartProcess = (
  settings: Settings,
  log: Logger,
  readiness: Readiness,
  report: SelfReport,
) => Promise<RunningProcess>;

/** What a process says to its supervisor. */
export type ProcessMessage = { type: 'ready'; address: string } | { type: 'failed' };

/**
 * Runs one of our processes: configuration, log, signals, and the channel to the supervisor, if there
 * is one. Its arguments are `[CONFIG] [--worker NUMBER]`.
 * A start that fails is one sentence on standard error and exit code 1.
 */
export async function runProcess(service: ServiceName, start: StartProcess): Promise<void> {
  let name: string = service;
  let running: RunningProcess;
  let log: Logger;
  const readiness = createReadiness();
  let drainDelay: number;
  // As the first process of a container it would not be ended by a signal that nobody listens to.
  const leave = () => process.exit(0);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, leave);
  try {
    const { config, worker } = readArguments();
    name = workerName(service, worker);
    const loaded = await loadConfiguration(config);
    const stops = loaded.remarks.filter(({ level }) => level === 'stop');
    if (stops.length > 0) throw new ConfigurationError(stops.map(({ message }) => message));
    const settings = toSettings(loaded, worker);
    log = createLogger({ ...settings.log, process: name });
    drainDelay = settings.http.drainDelay;
    let started = false;
    readiness.require(() => (started ? undefined : 'starting'));
    const report = await openDebug({ service, worker, settings, log, readiness });
    running = await start(settings, log, readiness, report);
    started = true;
  } catch (error) {
    process.stderr.write(`portcullis ${name}: ${(error as Error).message}\n`);
    tell({ type: 'failed' });
    process.exit(1);
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.off(signal, leave);
  listenToSignals(running, log, async () => {
    readiness.startDraining();
    // Whoever chooses among several of us learns of it before anything is refused.
    await sleep(drainDelay);
  });
  log.info({ address: running.address }, `${name} is ready`);
  tell({ type: 'ready', address: running.address });
}

/** @throws Error if they cannot be understood */
function readArguments(): { config: string | undefined; worker: number } {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { worker: { type: 'string', default: '1' } },
  });
  if (!/^[1-9]\d{0,4}$/.test(values.worker) || positionals.length > 1) {
    throw new Error('the arguments are [CONFIG] [--worker NUMBER]');
  }
  return { config: positionals[0] || undefined, worker: Number(values.worker) };
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
}: DebugOptions): Promise<SelfReport> {
  const supervised = process.send !== undefined;
  const plan = planDebug({ service, worker }, settings, supervised);
  const { address, setting, measures, peers } = plan;
  const name = workerName(service, worker);
  const metrics = measures
    ? await loadMetrics({ process: name, version: await readVersion() })
    : undefined;
  const own = createSelfReport(metrics);
  if (address === undefined) return own;
  const { metricsPath } = settings.debug;
  const report = joinReports({ process: name, report: own }, peers);
  const { port } = await serveDebug({ address, setting, metricsPath, readiness, report, log });
  log.info({ port }, 'the debug server is ready');
  return own;
}

/** What measures is loaded only where somebody wants to know: it takes 30 ms and some memory. */
async function loadMetrics(options: MetricsOptions) {
  const { createMetrics } = await import('#libs/metrics/metrics.ts');
  return createMetrics(options);
}

function listenToSignals(
  running: RunningProcess,
  log: Logger,
  announceStop: () => Promise<void>,
): void {
  let stopping = false;
  const stop = async (why: string) => {
    if (stopping) return;
    stopping = true;
    log.info({ why }, 'stopping');
    await announceStop();
    await running.stop();
    process.exit(0);
  };
  process.on('SIGTERM', () => void stop('SIGTERM'));
  // A terminal's Ctrl-C is for the supervisor, which stops its children in order.
  process.on('SIGINT', () => {
    if (process.send === undefined) void stop('SIGINT');
  });
  process.on('SIGHUP', () => {
    running.reload?.().catch((error: unknown) => log.error({ err: error }, 'reload failed'));
  });
  process.on('disconnect', () => void stop('the supervisor is gone'));
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'unexpected error; the process ends');
    process.exit(70);
  });
}

function tell(message: ProcessMessage): void {
  process.send?.(message);
}
