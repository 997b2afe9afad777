import { type FileHandle, open } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { basename, dirname } from 'node:path';

/** Bytes of a socket's path that every system takes (`sun_path`, the end of the string included). */
const longestPath = 103;
/** Milliseconds for a connection on the same machine. */
const timeout = 1000;

/** Where the owner of a tree can be met: as long as it lives, connections are accepted. */
export interface ClaimSocket {
  close(): Promise<void>;
}

/**
 * Listens at a path of the tree.
 * @throws Error where the filesystem takes no sockets, or the path is taken
 */
export async function openClaimSocket(path: string): Promise<ClaimSocket> {
  const short = await shorten(path);
  try {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.destroy();
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(short.path, resolve);
    });
    // What fails from here on, as a connection that cannot be accepted, tells of nothing.
    server.on('error', () => {});
    server.unref();
    return {
      async close() {
        await new Promise((resolve) => server.close(resolve));
        await short.folder?.close();
      },
    };
  } catch (error) {
    await short.folder?.close();
    throw error;
  }
}

/** @returns refused: whoever listened there is no more */
export async function askSocket(path: string): Promise<'accepted' | 'refused' | 'unknown'> {
  let short: ShortPath;
  try {
    short = await shorten(path);
  } catch {
    return 'unknown';
  }
  try {
    return await new Promise((resolve) => {
      const socket = connect(short.path);
      const end = (answer: 'accepted' | 'refused' | 'unknown') => {
        socket.destroy();
        resolve(answer);
      };
      socket.setTimeout(timeout, () => end('unknown'));
      socket.once('connect', () => end('accepted'));
      socket.once('error', ({ code }: NodeJS.ErrnoException) => {
        // A queue that is full is somebody's.
        end(code === 'ECONNREFUSED' ? 'refused' : code === 'EAGAIN' ? 'accepted' : 'unknown');
      });
    });
  } finally {
    await short.folder?.close();
  }
}

interface ShortPath {
  path: string;
  /** Open as long as the path is used. */
  folder?: FileHandle;
}

/** The same short under a name that is short enough. */
async function shorten(path: string): Promise<ShortPath> {
  if (Buffer.byteLength(path) <= longestPath) return { path };
  const folder = await open(dirname(path), 'r');
  return { path: `/proc/self/fd/${folder.fd}/${basename(path)}`, folder };
}
