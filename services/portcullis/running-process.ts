import { readdir, readFile } from 'node:fs/promises';
import { type ServiceName, services } from '#libs/values/service-name.ts';

/** A process of ours that runs on this machine, or in this container. */
export interface RunningService {
  service: ServiceName;
  /** As it was given; undefined where it was not. */
  config: string | undefined;
  /** The folder of the sockets, where a supervisor told it. */
  sockets: string | undefined;
}

/**
 * The process that speaks for what runs here: a gateway if there is one, for it speaks to clients.
 * @returns undefined if none runs
 */
export async function findRunning(): Promise<RunningService | undefined> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map(async (pid) => {
      const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
      return parseCommandLine(text.split('\0'));
    }),
  );
  const running = found.filter((process) => process !== undefined);
  return running.find(({ service }) => service === 'gateway') ?? running[0];
}

/** @returns undefined if it is none of ours */
export function parseCommandLine(words: readonly string[]): RunningService | undefined {
  const [program = ''] = words;
  if (!/(?:^|\/)node$/.test(program)) return undefined;
  const index = words.findIndex((word) => /\/services\/\w+\/main\.ts$/.test(word));
  const name = words[index]?.split('/').at(-2);
  const service = services.find((known) => known === name);
  if (service === undefined) return undefined;
  const [config, ...rest] = words.slice(index + 1);
  const isOption = config === '' || config?.startsWith('-');
  const options = isOption ? [config, ...rest] : rest;
  const sockets = options[options.indexOf('--sockets') + 1];
  return {
    service,
    config: isOption ? undefined : config,
    sockets: options.includes('--sockets') ? sockets : undefined,
  };
}
