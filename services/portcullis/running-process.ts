import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { isSettingVariable } from '#libs/config/environment.ts';
import { namedByEnvironment } from '#libs/config/named-by-environment.ts';
import { parseProcessArguments } from '#libs/process/process-arguments.ts';
import { type ServiceName, services } from '#libs/values/service-name.ts';

/** What the command line of a process of ours says. */
export interface CommandLine {
  service: ServiceName;
  /** As it was given; undefined where it was not. */
  config: string | undefined;
  /** The folder of the sockets, where a supervisor told it. */
  sockets: string | undefined;
}

/** A process of ours that runs on this machine, or in this container. */
export interface RunningService extends CommandLine {
  /** The folder it works in; undefined where this user may not know it, or it is in another container. */
  folder: string | undefined;
  /**
   * Whether this user, or a supervisor of this user, started it with that, or the container did: everybody can run something
   * that looks like ours, and have a command of root act on a configuration of their own.
   */
  isTrusted: boolean;
  /** Who it runs as; undefined where it has ended meanwhile. */
  uid: number | undefined;
  /** The variables that it was started with and that set something of its configuration; none where it is not trusted. */
  environment: Readonly<Record<string, string>>;
}

/** The file that it was started with, from wherever that was; undefined where it was none. */
export function configurationOf({ config, folder }: RunningService): string | undefined {
  return config === undefined || folder === undefined ? config : resolve(folder, config);
}

/** All processes of ours. */
export async function listRunning(): Promise<RunningService[]> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(pids.map(lookAt));
  return found.filter((process) => process !== undefined);
}

async function lookAt(pid: string): Promise<RunningService | undefined> {
  const parsed = parseCommandLine(await wordsOf(pid));
  if (parsed === undefined) return undefined;
  const uid = await uidOf(pid);
  if (pid === '1' || (await isRunByUs(pid))) {
    const [folder, variables] = await Promise.all([folderOf(pid), environmentOf(pid)]);
    const config = parsed.config ?? namedByEnvironment(variables);
    const environment = settingsIn(variables);
    return { ...parsed, config, uid, folder, isTrusted: true, environment };
  }
  const supervised = await lookAtSupervised(pid, parsed, uid);
  if (supervised !== undefined) return supervised;
  const folder = await folderOf(pid);
  return { ...parsed, uid, folder, isTrusted: false, environment: {} };
}

/**
 * A process that became another user since a supervisor of this user started it. That other user can run anything in its
 * place: what it was started with, only its supervisor tells.
 */
async function lookAtSupervised(
  pid: string,
  { service, sockets }: CommandLine,
  uid: number | undefined,
): Promise<RunningService | undefined> {
  const parent = (await statusOf(pid, 'PPid'))?.[0] ?? '0';
  const words = await wordsOf(parent);
  if (!isSupervisorsCommandLine(words) || !(await isRunByUs(parent))) return undefined;
  const [folder, variables] = await Promise.all([folderOf(parent), environmentOf(parent)]);
  const served = parseServing(words.slice(indexOfScript(words) + 1, -1), variables);
  if (served === undefined) return undefined;
  const environment = settingsIn(variables);
  return { service, sockets, config: served.config, uid, folder, isTrusted: true, environment };
}

const configured = { config: { type: 'string' } } as const;

/** The commands that serve, or supervise what serves, with their options (`command-line/serving.ts`). */
export const servingCommands = {
  serve: configured,
  gateway: configured,
  auth: configured,
  core: configured,
  quickstart: {
    dir: { type: 'string', default: 'data' },
    host: { type: 'string', multiple: true },
    port: { type: 'string' },
  },
} as const;

/** The configuration of a command that serves; undefined where it is another one. */
export function parseServing(
  words: readonly string[],
  variables: Readonly<Record<string, string>>,
): { config: string | undefined } | undefined {
  const [first = ''] = words;
  // `serve` may be left out before a file.
  const [command = '', ...args] = /\.ya?ml$/.test(first) ? ['serve', ...words] : words;
  if (!Object.hasOwn(servingCommands, command)) return undefined;
  const options = servingCommands[command as keyof typeof servingCommands];
  try {
    const { values, positionals } = parseArgs({ args, allowPositionals: true, options });
    const { dir, config } = values as { dir?: string; config?: string };
    if (dir !== undefined) return { config: join(dir, 'config.yml') };
    return { config: positionals[0] ?? config ?? namedByEnvironment(variables) };
  } catch {
    return undefined;
  }
}

async function environmentOf(pid: string): Promise<Record<string, string>> {
  const text = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
  const variables = text.split('\0').map((variable) => variable.split('='));
  return Object.fromEntries(variables.map(([name = '', ...value]) => [name, value.join('=')]));
}

function settingsIn(variables: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(variables).filter(([name]) => isSettingVariable(name)));
}

async function wordsOf(pid: string): Promise<string[]> {
  return (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).split('\0');
}

async function folderOf(pid: string): Promise<string | undefined> {
  try {
    const [theirs, ours, folder] = await Promise.all([
      readlink(`/proc/${pid}/ns/mnt`),
      readlink('/proc/self/ns/mnt'),
      readlink(`/proc/${pid}/cwd`),
    ]);
    return theirs === ours ? folder : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Whether nobody but this user can have chosen its command line. One that is run with the rights of its file's owner
 * (setuid) has that of whoever ran it.
 */
async function isRunByUs(pid: string): Promise<boolean> {
  const ids = await statusOf(pid, 'Uid');
  if (ids?.some((id) => Number(id) !== process.getuid?.()) !== false) return false;
  const program = await stat(`/proc/${pid}/exe`).catch(() => undefined);
  return program !== undefined && (program.mode & setIds) === 0;
}

async function uidOf(pid: string): Promise<number | undefined> {
  const [uid] = (await statusOf(pid, 'Uid')) ?? [];
  return uid === undefined ? undefined : Number(uid);
}

/** Set-user-ID and set-group-ID, in a file's mode. */
const setIds = 0o6000;

/** The values of a line of proc_pid_status(5). */
async function statusOf(pid: string, name: string): Promise<string[] | undefined> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return new RegExp(`^${name}:\\t(.*)$`, 'm').exec(status)?.[1]?.split('\t');
}

/** Whether all that runs here is of one container, which was started to run us. */
export async function isContainerOfOurs(): Promise<boolean> {
  const words = await wordsOf('1');
  return isSupervisorsCommandLine(words) || parseCommandLine(words) !== undefined;
}

/** @returns undefined if it is none of ours */
export function parseCommandLine(words: readonly string[]): CommandLine | undefined {
  const index = indexOfScript(words);
  const name = words[index]?.split('/').at(-2);
  const service = services.find((known) => known === name);
  if (service === undefined) return undefined;
  try {
    // The list of words in /proc ends with an empty one.
    const { config, sockets } = parseProcessArguments(words.slice(index + 1, -1));
    return { service, config, sockets };
  } catch {
    return undefined;
  }
}

function isSupervisorsCommandLine(words: readonly string[]): boolean {
  return words[indexOfScript(words)]?.split('/').at(-2) === 'portcullis';
}

/** @returns -1 if it is no Node that runs a service */
function indexOfScript([program = '', ...words]: readonly string[]): number {
  if (!/(?:^|\/)node$/.test(program)) return -1;
  const index = words.findIndex((word) => /\/services\/\w+\/main\.ts$/.test(word));
  return index < 0 ? -1 : index + 1;
}
