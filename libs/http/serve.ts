import { lstat, rm, stat } from 'node:fs/promises';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { connect, createServer, type Server as NetServer } from 'node:net';
import { dirname } from 'node:path';
import { Http1Request, Http1Response } from './http1-messages.ts';

/** Where a server listens. */
export type ListenAddress = { socket: string } | { host?: string; port: number };

export interface ListenOptions {
  /** Several processes of ours listen on this port, and the kernel gives each its share. */
  shared?: boolean;
  /** What to change for another address, for the error; `http.addr` without it. */
  setting?: string;
}

/** Options of Node's servers of HTTP/1.1, in words that those of HTTP/2 understand as well. */
interface HttpServerOptions {
  connectionsCheckingInterval: number;
  IncomingMessage: typeof IncomingMessage;
  ServerResponse: typeof ServerResponse;
}

/** What every HTTP server of ours is made with. */
export const serverOptions: HttpServerOptions = {
  /** Milliseconds between two looks for connections that are too slow; Node's own would be 30 s. */
  connectionsCheckingInterval: 1000,
  IncomingMessage: Http1Request,
  ServerResponse: Http1Response,
};

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
    await ensureUnserved(address);
    await removeOwnSocket(address.socket, setting);
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(explain(error, address, setting)));
    if ('socket' in address) server.listen({ path: address.socket, backlog }, resolve);
    else server.listen({ ...address, backlog, reusePort: shared }, resolve);
  });
  const bound = server.address();
  return typeof bound === 'object' && bound !== null ? bound.port : 0;
}

/**
 * Makes sure that nobody listens on an address that processes of ours are about to take: several that share it would
 * share it with any other program of this user that shares it.
 * @param setting what to change for another address, for the error
 * @throws Error with one clear sentence if the address cannot be had
 */
export async function ensureFree(address: ListenAddress, setting: string): Promise<void> {
  const server = createServer();
  await listen(server, address, { setting });
  await new Promise((resolve) => server.close(resolve));
}

/**
 * Makes sure that nobody serves at a Unix socket.
 * @throws Error with one clear sentence if somebody does
 */
export async function ensureUnserved(address: ListenAddress): Promise<void> {
  if (!('socket' in address) || !(await isServed(address.socket))) return;
  throw new Error(
    `${address.socket} is served by another process; is this registry running already?`,
  );
}

/**
 * Stops accepting, lets running requests end, and closes what is left when the time is over.
 * @param drainTime milliseconds to wait
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

/** What stands there may be somebody's file, by a mistake in the configuration: then it stays. */
async function removeOwnSocket(path: string, setting: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  // Root may find one of the user whose folder it is, and as whom it served before.
  const owners = [process.getuid?.() ?? found.uid, (await stat(dirname(path))).uid];
  if (!found.isSocket() || !owners.includes(found.uid)) {
    const what = found.isSocket() ? "another user's socket" : 'not a socket';
    throw new Error(`${setting}: ${path} exists and is ${what}; remove it or use another path`);
  }
  await rm(path);
}

/** Errors that tell that nobody listens; with any other one, such as of a full queue, somebody may. */
const unserved: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ECONNREFUSED', 'ENOTSOCK']);

/** What may wait to be accepted: all that a gateway sends at once. The kernel has a limit of its own. */
const backlog = 4096;

/** A socket's file outlives its process; only a connection tells whether anybody is there. */
async function isServed(socket: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const connection = connect(socket);
    connection.once('connect', () => {
      connection.destroy();
      resolve(true);
    });
    connection.once('error', ({ code = '' }: NodeJS.ErrnoException) =>
      resolve(!unserved.has(code)),
    );
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
