import { constants } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { SocketPaths } from '#libs/config/sections/socket-paths.ts';
import type { InternalSettings } from '#libs/internal/settings.ts';
import { makeFolders } from '../files/make-folders.ts';
import type { ServiceName } from '../values/service-name.ts';

/**
 * Makes sure a folder exists that only our user can enter: who can reach a socket in it is us.
 * @throws Error with one clear sentence if somebody else made it
 */
export async function ensurePrivateFolder(path: string): Promise<void> {
  await makeFolders(dirname(path), 0o755);
  await mkdir(path, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
  const handle = await open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW).catch((cause: unknown) => {
    throw new FolderOwnerError(path, { cause });
  });
  try {
    const found = await handle.stat();
    if (found.uid !== (process.getuid?.() ?? found.uid)) throw new FolderOwnerError(path);
    if ((found.mode & 0o077) !== 0) await handle.chmod(0o700);
  } finally {
    await handle.close();
  }
}

/** Somebody who is neither root nor the one who serves has made a folder of ours. */
export class FolderOwnerError extends Error {
  constructor(path: string, options?: ErrorOptions) {
    super(
      `${path} belongs to another user; remove it, or set portcullis.sockets to a folder of your own`,
      options,
    );
    this.name = 'FolderOwnerError';
  }
}

/** Who looks for the sockets of a service. */
const clientsOf: Readonly<Record<'core' | 'auth', readonly ServiceName[]>> = {
  core: ['gateway'],
  auth: ['gateway', 'core'],
};

/**
 * Makes sure that services which are started by themselves find those that are started elsewhere.
 * @param started those that are started together
 * @throws Error saying what to set, if they would look for sockets in a folder that nobody else knows
 */
export function assertAgreedSockets(
  {
    sockets,
    internal,
    auth,
  }: { sockets: SocketPaths; internal: InternalSettings; auth: object | undefined },
  started: readonly ServiceName[],
): void {
  if (sockets.isAgreed) return;
  const isHere = (socket: string) => dirname(socket) === sockets.folder;
  const isStarted = (service: ServiceName) => started.includes(service);
  const missing = (['core', 'auth'] as const).find((service) => {
    if (service === 'auth' && auth === undefined) return false;
    if (isStarted(service)) {
      const { listen } = internal[service];
      return 'socket' in listen && isHere(listen.socket) && !clientsOf[service].every(isStarted);
    }
    const ways = service === 'core' ? internal.cores : internal.auths;
    const isSought = ways.some((way) => way.kind === 'unix' && isHere(way.socket));
    return isSought && clientsOf[service].some(isStarted);
  });
  if (missing === undefined) return;
  throw new Error(
    `portcullis.sockets: processes that are started one by one need a folder for their sockets that all of them know and only this user can enter; set it, or XDG_RUNTIME_DIR, or portcullis.${missing}.listen for a TCP address`,
  );
}
