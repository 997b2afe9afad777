import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ListenAddress } from '#libs/http/serve.ts';
import type { ServiceName } from '#libs/values/service-name.ts';

/** Where a process listens. */
export interface Place {
  service: ServiceName;
  listen: ListenAddress;
  tls: boolean;
}

/** A file beside the sockets: what runs may not be what the configuration says by now. */
const name = 'running.json';

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

export async function notePlaces(folder: string, places: readonly Place[]): Promise<void> {
  await forgetPlaces(folder);
  // The folder may be another user's: nothing that is there is written to. Without it, whoever asks takes the configuration's.
  const options = { flag: 'wx', mode: 0o644 };
  await writeFile(join(folder, name), JSON.stringify(places), options).catch(() => {});
}

export async function forgetPlaces(folder: string): Promise<void> {
  await rm(join(folder, name), { force: true }).catch(() => {});
}

/** Where those listen that have their sockets in a folder; undefined where that is not known. */
export async function readPlaces(folder: string): Promise<readonly Place[] | undefined> {
  try {
    return JSON.parse(await readFile(join(folder, name), 'utf8')) as Place[];
  } catch {
    return undefined;
  }
}
