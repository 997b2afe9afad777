import { rmdir } from 'node:fs/promises';
import { changedKeys } from '#libs/config/compare-configurations.ts';
import type { Configuration } from '#libs/config/configuration.ts';
import { type LoadedConfiguration, loadConfiguration } from '#libs/config/load-configuration.ts';
import { loadSettings } from '#libs/config/load-settings.ts';
import { watchFile } from '#libs/files/watch-file.ts';
import type { LogFormat } from '#libs/log/format-line.ts';
import { createLogger, type Logger } from '#libs/log/logger.ts';
import { chooseUser } from '#libs/process/choose-user.ts';
import { describeSystemError } from '#libs/process/describe-system-error.ts';
import { freeStartUp } from '#libs/process/free-start-up.ts';
import { surviveRejections } from '#libs/process/survive-rejections.ts';
import type { ServiceName } from '#libs/values/service-name.ts';
import { assertStartable } from '../assert-startable.ts';
import { forgetPlaces, notePlaces, placeOf } from '../running-places.ts';
import { writeLogOnly } from '../standard-output.ts';
import { createSupervisor, StartFailed } from '../supervisor.ts';

/** The processes of each service until a signal ends it. @returns the exit code */
export async function serve(config: string | undefined): Promise<number> {
  return await supervise(config, (address, startedInMs, { log, format }) => {
    // Where lines are JSON, all are.
    if (format !== 'text') log.info({ address, startedInMs }, 'Portcullis is ready');
    else process.stdout.write(`Portcullis is ready at ${address} (started in ${startedInMs} ms)\n`);
  });
}

/**
 * Runs the supervisor until it is told to stop.
 * @param onReady gets the gateway's address, how long the start took in milliseconds, and the supervisor's log
 * @param only the one service to run; all that the configuration has without it
 * @returns the exit code
 */
export async function supervise(
  config: string | undefined,
  onReady: (address: string, ms: number, to: { log: Logger; format: LogFormat }) => void,
  only?: ServiceName,
): Promise<number> {
  const began = performance.now();
  writeLogOnly();
  const configured = await loadSettings(config);
  const { log: lines } = configured.settings;
  const log = createLogger({ ...lines, process: 'supervisor' });
  try {
    return await superviseWith(configured, { began, onReady, only, log });
  } catch (error) {
    // Where lines are JSON, all are.
    if (lines.format === 'text') throw error;
    log.fatal(await describeSystemError(error as Error));
    return 1;
  }
}

interface SuperviseOptions {
  /** Milliseconds of the clock that `performance` has. */
  began: number;
  onReady: (address: string, ms: number, to: { log: Logger; format: LogFormat }) => void;
  only: ServiceName | undefined;
  log: Logger;
}

async function superviseWith(
  { loaded, settings, warnings }: Awaited<ReturnType<typeof loadSettings>>,
  { began, onReady, only, log }: SuperviseOptions,
): Promise<number> {
  const all: ServiceName[] =
    settings.auth === undefined ? ['core', 'gateway'] : ['auth', 'core', 'gateway'];
  const services = only === undefined ? all : [only];
  surviveRejections(log);
  log.info({ configuration: loaded.path ?? 'built-in' }, 'starting');
  for (const message of warnings) log.warn(message);
  await assertStartable(loaded, settings, services);
  const workers = { auth: 1, ...settings.workers };
  const user = await chooseUser(settings, (message) => log.warn(message));
  if (user !== undefined) log.info(`serving as ${user.uid}:${user.gid}`);
  const supervisor = createSupervisor({
    configuration: { path: loaded.path, text: loaded.text },
    sockets: settings.sockets.folder,
    services,
    workers,
    // Cores and token services that only our own gateways reach are stopped after those.
    chosen: services.filter(
      (service) =>
        service === 'gateway' || only !== undefined || !settings.internal[service].isPrivate,
    ),
    log,
    drainTimeout: settings.http.drainTimeout,
  });

  const noted = { folder: settings.sockets.folder, config: loaded.path };
  const tellChanges = createChangeReport(loaded, log);
  // Whoever edits it learns at once what is not taken; that the file was read is told by those that take something.
  const quiet = log.child({}, { level: 'silent' });
  const watch =
    loaded.path === undefined
      ? undefined
      : watchFile(loaded.path, () => tellChanges({ once: true }), quiet);

  let asked = 0;
  const told = new Promise<NodeJS.Signals>((resolve) => {
    const stop = (signal: NodeJS.Signals) => {
      asked += 1;
      if (asked === 1) resolve(signal);
      // Whoever asks twice means now.
      else supervisor.kill();
    };
    process.on('SIGINT', stop);
    process.on('SIGTERM', stop);
    // A closed terminal sends it as well; without one it means: take the changed files.
    process.on('SIGHUP', (signal) => {
      if (process.stdin.isTTY) return stop(signal);
      supervisor.reload();
      void tellChanges();
    });
  });
  process.on('exit', () => supervisor.kill());

  let ready = false;
  try {
    const first = await Promise.race([supervisor.start(), told.then(() => undefined)]);
    ready = first !== undefined;
    if (first !== undefined) {
      const { format } = settings.log;
      const isTls = settings.http.tls !== undefined;
      const places = services.flatMap((service) =>
        supervisor
          .addressesOf(service)
          .map((address) => placeOf(service, address, service === 'gateway' && isTls)),
      );
      await notePlaces(noted, only ?? 'all', places);
      onReady(first, Math.round(performance.now() - began), { log, format });
      freeStartUp();
    }
  } catch (error) {
    await removeIfEmpty(settings.sockets.folder);
    if (error instanceof StartFailed) return 1;
    throw error;
  }
  const signal = await Promise.race([told, supervisor.failed.then(() => undefined)]);
  watch?.close();
  log.info({ why: signal ?? 'a process cannot go on' }, 'stopping: draining requests');
  // Ctrl-C is somebody who waits for the prompt; a service manager's signal is one that others may choose after.
  await supervisor.stop(signal === 'SIGTERM' && ready ? settings.drainDelay : 0);
  await forgetPlaces(noted, only ?? 'all');
  await removeIfEmpty(settings.sockets.folder);
  return signal === undefined || asked > 1 ? 1 : 0;
}

/** Others may have put theirs beside our sockets. */
async function removeIfEmpty(folder: string): Promise<void> {
  await rmdir(folder).catch(() => {});
}

/** Rules, groups and users are followed by the token service. */
function withoutLive(configuration: Configuration): Configuration {
  return {
    ...configuration,
    portcullis: { ...configuration.portcullis, acl: [], groups: {}, users: {} },
  };
}

/**
 * Tells what differs between the configuration that runs and the one in its file. Users, rules, keys and certificates are
 * taken while it runs; the rest is not.
 * @returns a function that looks; `once` keeps it from repeating what it said last
 */
function createChangeReport(
  running: LoadedConfiguration,
  log: Logger,
): (options?: { once: boolean }) => Promise<void> {
  let said = '';
  return async ({ once } = { once: false }) => {
    let names = '';
    try {
      const { configuration } = await loadConfiguration(running.path);
      names = changedKeys(withoutLive(running.configuration), withoutLive(configuration)).join(
        ', ',
      );
    } catch (error) {
      said = '';
      log.error(
        { why: (error as Error).message },
        'the changed configuration is invalid; a restart would fail',
      );
      return;
    }
    if (names !== '' && !(once && names === said)) {
      log.warn(`changed, effective after a restart: ${names}`);
    }
    said = names;
  };
}
