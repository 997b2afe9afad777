import { existsSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { isAbsolute, resolve } from 'node:path';
import { takeSettingsOf } from '#libs/config/environment.ts';
import { namedByEnvironment, nameOfVariable } from '#libs/config/named-by-environment.ts';
import { changeableByOthers } from '#libs/process/controlling-user.ts';
import { nameOfUser } from '#libs/process/describe-system-error.ts';
import { UsageError } from '#libs/process/usage-error.ts';
import {
  configurationOf,
  isContainerOfOurs,
  listRunning,
  type RunningService,
} from './running-process.ts';

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

/** The registry that a command is about. */
export type Target =
  /** It is named, and may run or not. */
  | { namedBy: 'argument' | 'environment'; path: string }
  /** It runs in this folder, with a file or without one. */
  | { namedBy: 'process'; running: RunningService };

/**
 * In this order (docs/adr/0015): what the command names, what the environment names, and what runs in this folder.
 * @returns undefined where nothing of this user runs here
 * @throws UsageError where several run here
 */
export async function findTarget(named: string | undefined): Promise<Target | undefined> {
  if (named !== undefined) return { namedBy: 'argument', path: named };
  const byEnvironment = namedByEnvironment();
  if (byEnvironment !== undefined) return { namedBy: 'environment', path: byEnvironment };
  const running = await findRunning();
  return running === undefined ? undefined : { namedBy: 'process', running };
}

/**
 * The configuration of the registry that a command is about which changes or reveals something. What the command did not
 * name is said on standard error.
 * @returns undefined for what runs without a file
 * @throws UsageError where none is found, or several
 */
export async function findConfiguration(named: string | undefined): Promise<string | undefined> {
  const target = await findTarget(named);
  if (target === undefined) throw new UsageError(await describeNoneHere(exampleHere()));
  return take(target);
}

/**
 * The same for a command that only looks at a configuration: where nothing runs, the one that `serve` would take.
 * @returns undefined for the places that `serve` looks at
 * @throws UsageError where several run here
 */
export async function findConfigurationToCheck(
  named: string | undefined,
): Promise<string | undefined> {
  const target = await findTarget(named);
  return target === undefined ? undefined : take(target);
}

/**
 * Has this process act on the configuration of a target: its file and, of one that runs, the variables that it was
 * started with.
 * @returns the file; undefined for what runs without one
 */
function take(target: Target): string | undefined {
  switch (target.namedBy) {
    case 'argument':
      return target.path;
    case 'environment':
      say(`using ${target.path}, which ${nameOfVariable()} names`);
      return target.path;
    case 'process': {
      const path = configurationOf(target.running);
      const others = takeSettingsOf(target.running.environment);
      const variables = others.length === 0 ? '' : ` and its ${others.join(', ')}`;
      say(`using ${path ?? 'the configuration'}${variables} of the running registry`);
      return path;
    }
  }
}

/** That nothing of this user runs here, and who has something that may be meant. */
export async function describeNoneHere(example = 'FILE'): Promise<string> {
  const others = await describeOthers();
  const named = `name the one that is meant by --config ${example} or PORTCULLIS_CONFIG`;
  if (others === undefined) return `no registry runs in this folder; ${named}`;
  return `no registry of this user runs in this folder (${others}); ${named}`;
}

/**
 * Whose registry may be the one that is meant, where it is none of this user.
 * @param configuration the file that it must have been started with; without it one that runs here
 * @returns undefined where there is none
 */
export async function describeOthers(configuration?: string): Promise<string | undefined> {
  const here = await realpath(process.cwd());
  const wanted = configuration === undefined ? undefined : resolve(configuration);
  const others = (await listRunning()).filter(
    (one) => !one.isTrusted && mayBeMeant(one, here, wanted),
  );
  const [{ uid } = { uid: undefined }] = others;
  if (uid === undefined) return undefined;
  const name = await nameOfUser(uid);
  return `${name} has a registry on this machine; if it is the one that is meant, run this as ${name}`;
}

/**
 * Whether another user's process may be the one that is meant.
 * @param here the working folder
 * @param wanted the absolute path of the file that it must have been started with; any that belongs to `here` without it
 */
export function mayBeMeant(one: RunningService, here: string, wanted: string | undefined): boolean {
  const isKnown = one.folder !== undefined || isAbsolute(one.config ?? '');
  // This user may not know in which folder it was started.
  if (!isKnown || (one.folder === undefined && wanted === undefined)) return true;
  return wanted === undefined ? belongsTo(one, here) : configurationOf(one) === wanted;
}

/** A configuration that lies here, as `make run` leaves one, for who may have meant it. */
function exampleHere(): string {
  return ['data/config.yml', 'config.yml'].find((path) => existsSync(path)) ?? 'FILE';
}

/**
 * The process that speaks for what runs in this folder, or has its configuration below it; in a container of ours for
 * what runs at all. That is a gateway if there is one, for it speaks to clients.
 * @param configuration the file that it must have been started with; any without it
 * @returns undefined if none runs
 * @throws UsageError if there are several registries, or somebody else decides what this one's configuration is
 */
export async function findRunning(configuration?: string): Promise<RunningService | undefined> {
  const here = await realpath(process.cwd());
  const [all, isContainer] = await Promise.all([listRunning(), isContainerOfOurs()]);
  const wanted = configuration === undefined ? undefined : resolve(configuration);
  const isMeant = (one: RunningService) => {
    if (isContainer) return true;
    return wanted === undefined ? belongsTo(one, here) : configurationOf(one) === wanted;
  };
  const found = all.filter((one) => one.isTrusted && isMeant(one));
  const paths = [...new Set(found.map(configurationOf))];
  if (wanted === undefined && paths.length > 1) {
    const names = paths.map((one) => one ?? 'the built-in configuration').join(', ');
    throw new UsageError(`several registries run here (${names}); name one by --config FILE`);
  }
  const [path] = paths;
  if (path !== undefined && configuration === undefined && !isContainer) await assertOurs(path);
  return found.find(({ service }) => service === 'gateway') ?? found[0];
}

/** @throws UsageError where this is root, and others could have written what it is about to act on */
async function assertOurs(path: string): Promise<void> {
  const open = process.getuid?.() === 0 ? await changeableByOthers(path) : undefined;
  if (open === undefined) return;
  const what =
    open === path
      ? 'which others than root can change'
      : `where others than root can change ${open}`;
  throw new UsageError(
    `the registry that runs here uses ${path}, ${what}; name it by --config if it is meant`,
  );
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
  if (running.folder === here) return true;
  const path = configurationOf(running);
  return path?.startsWith(here === '/' ? here : `${here}/`) ?? false;
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
