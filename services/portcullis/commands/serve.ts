import { rmdir } from 'node:fs/promises';
import {
  ConfigurationError,
  type LoadedConfiguration,
  loadConfiguration,
} from '#libs/config/load-configuration.ts';
import type { Configuration } from '#libs/config/schema/configuration.ts';
import { toSettings } from '#libs/config/settings.ts';
import { ensureFree } from '#libs/http/serve.ts';
import { createLogger, type Logger } from '#libs/log/logger.ts';
import type { ServiceName } from '#libs/process/service-name.ts';
import { chooseServingUser } from '#libs/process/serving-user.ts';
import { UsageError } from '#libs/process/usage-error.ts';
import type { Command } from '../command.ts';
import { createSupervisor, StartFailed } from '../supervisor.ts';

/** `serve [CONFIG]`: the processes of each service until a signal ends it. */
export const serve: Command = async (args) => {
  const [config, ...more] = args;
  if (more.length > 0 || config?.startsWith('-')) {
    throw new UsageError('usage: portcullis serve [CONFIG]');
  }
  return await supervise(config, (address, ms) => {
    process.stdout.write(`Portcullis is ready at ${address} (started in ${ms} ms)\n`);
  });
};

/**
 * Runs the supervisor until it is told to stop.
 * @param onReady gets the gateway's address and how long the start took, in milliseconds
 * @param only the one service to run; all that the configuration has without it
 * @returns the exit code
 */
export async function supervise(
  config: string | undefined,
  onReady: (address: string, ms: number) => void,
  only?: ServiceName,
): Promise<number> {
  const began = performance.now();
  const loaded = await loadConfiguration(config);
  const stops = loaded.remarks.filter(({ level }) => level === 'stop');
  if (stops.length > 0) throw new ConfigurationError(stops.map(({ message }) => message));
  const settings = toSettings(loaded);
  const log = createLogger({ ...settings.log, process: 'supervisor' });
  for (const { level, message } of loaded.remarks) if (level === 'warn') log.warn(message);
  const all: ServiceName[] =
    settings.auth === undefined ? ['core', 'gateway'] : ['auth', 'core', 'gateway'];
  const services = only === undefined ? all : [only];
  const workers = { auth: 1, ...settings.workers };
  const user = await chooseServingUser(settings, (message) => log.warn(message));
  if (user !== undefined) log.info(`serving as ${user.uid}:${user.gid}`);
  if (services.includes('gateway') && workers.gateway > 1) await ensureFree(settings.http.listen);
  const supervisor = createSupervisor({
    config: loaded.path,
    services,
    workers,
    log,
    drainTimeout: settings.http.drainDelay + settings.http.drainTimeout,
  });

  const told = new Promise<void>((resolve) => {
    let asked = 0;
    const stop = () => {
      asked += 1;
      if (asked === 1) resolve();
      // Whoever asks twice means now.
      else supervisor.kill();
    };
    process.on('SIGINT', stop);
    process.on('SIGTERM', stop);
    // A closed terminal sends it as well; without one it means: take the changed files.
    process.on('SIGHUP', () => {
      if (process.stdin.isTTY) return stop();
      supervisor.reload();
      void warnOfChanges(loaded, log);
    });
  });
  process.on('exit', () => supervisor.kill());

  try {
    const address = await Promise.race([supervisor.start(), told]);
    if (typeof address === 'string') onReady(address, Math.round(performance.now() - began));
  } catch (error) {
    if (error instanceof StartFailed) return 1;
    throw error;
  }
  await told;
  log.info('stopping: what runs may end first');
  await supervisor.stop();
  // Only if it is empty: others may have put theirs beside our sockets.
  await rmdir(settings.sockets.folder).catch(() => {});
  return 0;
}

/** Rules and groups are followed by the token service. */
function withoutLive(configuration: Configuration): Configuration {
  return { ...configuration, portcullis: { ...configuration.portcullis, acl: [], groups: {} } };
}

/** Users, rules, keys and certificates are taken while it runs; the rest of the configuration is not. */
async function warnOfChanges(running: LoadedConfiguration, log: Logger): Promise<void> {
  try {
    const { configuration } = await loadConfiguration(running.path);
    const [now, before] = [configuration, running.configuration].map(withoutLive);
    const changed = Object.keys(configuration).filter(
      (key) =>
        JSON.stringify(now?.[key as keyof Configuration]) !==
        JSON.stringify(before?.[key as keyof Configuration]),
    );
    if (changed.length === 0) return;
    log.warn(`changed and not in force until a restart: ${changed.join(', ')}`);
  } catch (error) {
    log.error({ err: error }, 'the changed configuration cannot be used; a restart would fail');
  }
}
