import { rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import { connect, createServer, type Server as NetServer } from 'node:net';

/** Where a server listens. */
export type ListenAddress = { socket: string } | { host?: string; port: number };

export interface ListenOptions {
  /** Several processes of ours listen on this port, and the kernel gives each its share. */
  shared?: boolean;
  /** What to change for another address, for the error; `http.addr` without it. */
  setting?: string;
}

/** Milliseconds between two looks for connections that are too slow; Node's own would be 30 s. */
export const serverOptions = { connectionsCheckingInterval: 1000 } as const;

export interface ServerTimeouts {
  /** Milliseconds for a request's headers to arrive. */
  headers: number;
  /** Milliseconds an idle connection is kept for the next request. */
  keepAlive: number;
}

/** Node's limit on a whole request would cut slow layers; bodies end by idle time only. */
export function applyTimeouts(server: Server, { headers, keepAlive }: ServerTimeouts): void {
  server.requestTimeout = 0;
  server.timeout = 0;
  server.headersTimeout = headers;
  server.keepAliveTimeout = keepAlive;
}

/**
 * Starts listening. A Unix socket left by a dead process is replaced: its folder is ours alone.
 * @param setting what to change for another address, for the error
 * @returns the port, or 0 for a Unix socket
 * @throws Error with one clear sentence if the address cannot be had
 */
export async function listen(
  server: NetServer,
  address: ListenAddress,
  { shared = false, setting = 'http.addr' }: ListenOptions = {},
): Promise<number> {
  if ('socket' in address) {
    if (await isServed(address.socket)) {
      throw new Error(
        `${address.socket} is served by another process; is this registry running already?`,
      );
    }
    await rm(address.socket, { force: true });
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(explain(error, address, setting)));
    if ('socket' in address) server.listen(address.socket, resolve);
    else server.listen({ ...address, reusePort: shared }, resolve);
  });
  const bound = server.address();
  return typeof bound === 'object' && bound !== null ? bound.port : 0;
}

/**
 * Makes sure that nobody listens on an address that several processes are about to share: each of them
 * would share it with any other program of this user that shares it.
 * @throws Error with one clear sentence if the address cannot be had
 */
export async function ensureFree(address: ListenAddress): Promise<void> {
  const server = createServer();
  await listen(server, address);
  await new Promise((resolve) => server.close(resolve));
}

/**
 * Stops accepting, lets running requests end, and closes what is left when the time is over.
 * @param drain milliseconds to wait
 */
export async function drain(server: Server, drainTime: number): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), drainTime);
  // A connection that turns idle while we wait is closed by its next sweep.
  const sweep = setInterval(() => server.closeIdleConnections(), 50);
  await closed;
  clearTimeout(timer);
  clearInterval(sweep);
}

/** A socket's file outlives its process; only a connection tells whether anybody is there. */
async function isServed(socket: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const connection = connect(socket);
    connection.once('connect', () => {
      connection.destroy();
      resolve(true);
    });
    connection.once('error', () => resolve(false));
  });
}

function explain(error: NodeJS.ErrnoException, address: ListenAddress, setting: string): Error {
  const where = 'socket' in address ? address.socket : `${address.host ?? ''}:${address.port}`;
  const reasons: Record<string, string> = {
    EADDRINUSE: `${where} is already in use by another process; stop it or set ${setting} to another address`,
    EACCES: `not allowed to listen on ${where}; ports below 1024 need root or CAP_NET_BIND_SERVICE`,
    EADDRNOTAVAIL: `${where} is not an address of this machine`,
    ENOTFOUND: `the host of ${where} cannot be resolved`,
  };
  return new Error(reasons[error.code ?? ''] ?? `cannot listen on ${where}: ${error.message}`, {
    cause: error,
  });
}
