import { createHash, randomUUID } from 'node:crypto';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { ListenAddress } from '#libs/http/serve.ts';
import type { ServiceName } from '#libs/values/service-name.ts';

/** Where a process listens. */
export interface Place {
  service: ServiceName;
  listen: ListenAddress;
  tls: boolean;
}

/** What a supervisor runs: a whole registry, or one service of it. */
export type Supervised = 'all' | ServiceName;

/** Who has noted something: by what it was started with, since several may have their sockets in one folder. */
export interface Noted {
  /** The folder of the sockets. */
  folder: string;
  /** Its configuration; undefined where it has none. */
  config: string | undefined;
}

/**
 * Where a process listens that tells its address in one of the forms `https://host:port/prefix`, `unix:/path` and `/path`.
 * @param tlsBySocket whether it speaks TLS where it listens at a socket
 */
export function placeOf(service: ServiceName, address: string, tlsBySocket: boolean): Place {
  const socket = /^(?:unix:)?(\/.*)$/.exec(address)?.[1];
  if (socket !== undefined) return { service, listen: { socket }, tls: tlsBySocket };
  const { protocol, hostname, port } = new URL(address);
  const tls = protocol === 'https:';
  const host = hostname.replace(/^\[(.*)\]$/, '$1');
  const usual = tls ? 443 : 80;
  return { service, listen: { host, port: port === '' ? usual : Number(port) }, tls };
}

/** Notes where all listen that a supervisor runs: the configuration may say something else by the time that somebody asks. */
export async function notePlaces(
  noted: Noted,
  what: Supervised,
  places: readonly Place[],
): Promise<void> {
  // Of one that was killed, and ran more.
  await forgetPlaces(noted, what, 'all');
  const temporary = fileOf(noted, randomUUID());
  try {
    // The folder may be another user's: nothing that is there is written to.
    await writeFile(temporary, JSON.stringify(places), { flag: 'wx', mode: 0o644 });
    await rename(temporary, fileOf(noted, what));
  } catch {
    // Whoever asks takes the configuration's word.
    await rm(temporary, { force: true }).catch(() => {});
  }
}

export async function forgetPlaces(noted: Noted, ...what: readonly Supervised[]): Promise<void> {
  for (const one of what) await rm(fileOf(noted, one), { force: true }).catch(() => {});
}

/** Where those listen that a supervisor runs; undefined where it has noted nothing. */
export async function readPlaces(
  noted: Noted,
  what: Supervised,
): Promise<readonly Place[] | undefined> {
  try {
    return JSON.parse(await readFile(fileOf(noted, what), 'utf8')) as Place[];
  } catch {
    return undefined;
  }
}

function fileOf({ folder, config }: Noted, name: string): string {
  const of = createHash('sha256').update(config === undefined ? '' : resolve(config));
  return join(folder, `running.${of.digest('hex').slice(0, 12)}.${name}.json`);
}
