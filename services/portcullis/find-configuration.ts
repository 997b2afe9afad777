import { realpath } from 'node:fs/promises';
import { namedByEnvironment } from '#libs/config/named-by-environment.ts';
import { UsageError } from '#libs/process/usage-error.ts';
import { configurationOf, listRunning, type RunningService } from './running-process.ts';

/** A configuration that may be named by an argument or by `--config`. @throws UsageError if both name one, and not the same */
export function oneOf(
  argument: string | undefined,
  option: string | undefined,
): string | undefined {
  if (argument !== undefined && option !== undefined && argument !== option) {
    throw new UsageError(`two configurations are named, ${argument} and --config ${option}`);
  }
  return argument ?? option;
}

/**
 * The configuration of the registry that a command is about which changes or reveals something: as it is named, by the
 * environment, or that of what runs in this folder (docs/adr/0015). What was not named is said on standard error.
 * @returns undefined for what runs without a file
 * @throws UsageError where none is found, or several
 */
export async function findConfiguration(named: string | undefined): Promise<string | undefined> {
  if (named !== undefined) return named;
  const byEnvironment = namedByEnvironment();
  if (byEnvironment !== undefined) {
    say(`using ${byEnvironment}, which the environment names`);
    return byEnvironment;
  }
  const here = await realpath(process.cwd());
  const found = new Set(
    (await listRunning())
      .filter((one) => one.isTrusted && belongsTo(one, here))
      .map(configurationOf),
  );
  const [path, ...more] = found;
  if (found.size === 0) {
    throw new UsageError(
      'no registry runs in this folder; name the one that is meant by --config FILE or PORTCULLIS_CONFIG',
    );
  }
  if (more.length > 0) {
    const names = [...found].map((one) => one ?? 'the built-in configuration').join(', ');
    throw new UsageError(`several registries run here (${names}); name one by --config FILE`);
  }
  say(`using ${path ?? 'the configuration'} of the running registry`);
  return path;
}

/** Auth's state folder as it is named, else a configuration that is found. */
export async function findState(named: {
  state?: string | undefined;
  config?: string | undefined;
}): Promise<{ state: string } | { config: string | undefined }> {
  const { state, config } = named;
  return state === undefined ? { config: await findConfiguration(config) } : { state };
}

/** The htpasswd file as it is named, else a configuration that is found. */
export async function findUsers(named: {
  file?: string | undefined;
  config?: string | undefined;
}): Promise<{ file: string } | { config: string | undefined }> {
  const { file, config } = named;
  return file === undefined ? { config: await findConfiguration(config) } : { file };
}

/** Whether it was started in this folder, or its configuration lies below it. */
function belongsTo(running: RunningService, here: string): boolean {
  if (running.folder === undefined) return false;
  if (running.folder === here) return true;
  const path = configurationOf(running);
  return path?.startsWith(here === '/' ? here : `${here}/`) ?? false;
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
