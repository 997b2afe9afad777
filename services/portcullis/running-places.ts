import { createHash, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { open, rename, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import type { ListenAddress } from '#libs/http/serve.ts';
import { switchToControllerOf } from '#libs/process/drop-privileges.ts';
import { type ServiceName, services } from '#libs/values/service-name.ts';

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

/**
 * Where those listen that a supervisor runs; undefined where it has noted nothing. Root becomes who can change the note before
 * it believes it.
 * @throws UsageError where that is no single user
 */
export async function readPlaces(
  noted: Noted,
  what: Supervised,
): Promise<readonly Place[] | undefined> {
  const file = fileOf(noted, what);
  const places = await readNote(file);
  if (places !== undefined) await switchToControllerOf(file);
  return places;
}

async function readNote(file: string): Promise<readonly Place[] | undefined> {
  try {
    // What is no file, such as a FIFO, would have the open wait.
    await using handle = await open(file, readingFile);
    const { size } = await handle.stat();
    if (size > largestNote) return undefined;
    const places = noteSchema.safeParse(JSON.parse(await handle.readFile('utf8')));
    return places.success ? places.data : undefined;
  } catch {
    return undefined;
  }
}

const readingFile = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
/** Bytes. */
const largestNote = 64 * 1024;

const noteSchema = z.array(
  z.object({
    service: z.enum(services),
    listen: z.union([
      z.object({ socket: z.string() }),
      z.object({ host: z.string().exactOptional(), port: z.number() }),
    ]),
    tls: z.boolean(),
  }),
);

function fileOf({ folder, config }: Noted, name: string): string {
  const of = createHash('sha256').update(config === undefined ? '' : resolve(config));
  return join(folder, `running.${of.digest('hex').slice(0, 12)}.${name}.json`);
}
