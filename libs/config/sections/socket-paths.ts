import { createHash, randomBytes } from 'node:crypto';
import { accessSync, constants, lstatSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, isAbsolute, join, resolve } from 'node:path';
import { text } from '#libs/values/schema.ts';
import { workerName } from '#libs/values/worker-name.ts';

export const socketsSchema = text
  .optional()
  .describe('Folder of the Unix sockets between our processes; only our user may enter it.');

/** Where the Unix sockets between our processes are. */
export interface SocketPaths {
  /** A folder that only we can make or enter. */
  folder: string;
  /** Whether a process that is started by itself, with the same configuration, finds the same folder. */
  isAgreed: boolean;
  auth: string;
  /** Of all cores, in the order of their numbers. */
  cores: [string, ...string[]];
  /** This core's own. */
  core: string;
}

/** What of this machine and this process decides about them. */
export interface SocketOptions {
  /** Where the supervisor says they are. */
  told: string | undefined;
  /** `portcullis.sockets` */
  configured: string | undefined;
  /** What tells this registry from another one of the same user. */
  identity: readonly string[];
  cores: number;
  /** The number of this process among its like. */
  worker: number;
}

/** Bytes of a socket's path (sun_path of unix(7)), without the byte that ends it. */
const maxSocketPath = 107;

/**
 * What is wrong with the paths of sockets, a sentence for the first.
 * @param listen where clients come to
 */
export function checkSocketPaths(
  { cores, auth }: SocketPaths,
  listen: { socket: string } | { port: number },
): string[] {
  const paths = [
    ...[...cores, auth].map((path) => ['portcullis.sockets', path] as const),
    ['http.addr', 'socket' in listen ? listen.socket : ''] as const,
  ];
  const tooLong = paths.find(([, path]) => Buffer.byteLength(path) > maxSocketPath);
  if (tooLong === undefined) return [];
  const [key, path] = tooLong;
  return [
    `${key}: ${path} is longer than the ${maxSocketPath} bytes that the path of a Unix socket may have; name a shorter one`,
  ];
}

export function socketPaths(options: SocketOptions): SocketPaths {
  const { folder, isAgreed } = chooseSocketFolder(options);
  const core = (number: number) => join(folder, `${workerName('core', number)}.sock`);
  const others = Array.from({ length: options.cores - 1 }, (_, index) => core(index + 2));
  return {
    folder,
    isAgreed,
    auth: join(folder, 'auth.sock'),
    cores: [core(1), ...others],
    core: core(options.worker),
  };
}

/**
 * Socket paths are bounded to about 100 bytes, so they stay out of deep data folders. A name that others can tell
 * beforehand is taken only where nobody else can make it; elsewhere it is a new one each time.
 */
export function chooseSocketFolder(
  { told, configured, identity }: Pick<SocketOptions, 'told' | 'configured' | 'identity'>,
  places: Places = placesHere(),
): Pick<SocketPaths, 'folder' | 'isAgreed'> {
  const given = told ?? configured;
  if (given !== undefined) return { folder: resolve(given), isAgreed: true };
  const base = runtimeFolder(places);
  if (base !== undefined) {
    const name = createHash('sha256').update(identity.join('\0')).digest('hex').slice(0, 12);
    return { folder: join(base, name), isAgreed: true };
  }
  const name = `portcullis-${randomBytes(12).toString('base64url')}`;
  return { folder: join(temporaryFolder(), name), isAgreed: false };
}

/** Where folders of ours may be, and who we are. */
interface Places {
  /** Made by root, or for us by whoever set this machine up, as systemd's `RuntimeDirectory=` does. */
  system: string;
  /** The XDG base directory specification: the user's, mode 0700, gone with the user's last session. */
  session: string | undefined;
  uid: number | undefined;
}

const placesHere = (): Places => ({
  system: '/run/portcullis',
  session: process.env.XDG_RUNTIME_DIR,
  uid: process.getuid?.(),
});

/** Where nobody but us can make anything; undefined if there is no such place. */
function runtimeFolder({ system, session = '', uid }: Places): string | undefined {
  if (uid === undefined) return undefined;
  if (isOursAlone(system, uid)) return system;
  if (uid === 0 && isAbsent(system) && isOursAlone(dirname(system), uid)) return system;
  if (isAbsolute(session) && isOursAlone(session, uid)) return join(session, 'portcullis');
  return undefined;
}

function isAbsent(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) === undefined;
}

/** A folder of ours that we may write to and nobody else. */
function isOursAlone(path: string, uid: number): boolean {
  try {
    const found = lstatSync(path);
    accessSync(path, constants.W_OK | constants.X_OK);
    return found.isDirectory() && found.uid === uid && (found.mode & 0o022) === 0;
  } catch {
    return false;
  }
}

/** Containers whose filesystem is read-only have shared memory to write to all the same. */
function temporaryFolder(): string {
  try {
    accessSync(tmpdir(), constants.W_OK);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (['EROFS', 'EACCES', 'ENOENT'].includes(code)) return '/dev/shm';
  }
  return tmpdir();
}
