import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { dirname } from 'node:path';
import { RegistryError } from '#libs/oci/errors.ts';
import { ensurePrivateFolder } from '#libs/process/socket-folder.ts';
import { giveUpAnswer } from '../http/client-gone.ts';
import { canGiveOrders, delegation } from '../http/held-body.ts';
import { internalHeaders } from '../http/internal-headers.ts';
import { internalProtocol } from '../http/internal-protocol.ts';
import { createServer as createHttpServer } from '../http/node-http.ts';
import { isHealthPath } from '../http/readiness.ts';
import { renderError } from '../http/render-error.ts';
import { applyTimeouts, drain, type ListenAddress, listen, serverOptions } from '../http/serve.ts';

/** Milliseconds of the drain time that are left to those who are told to give up. */
const timeToGiveUp = 500;

/** Longer than our agents keep a connection (60 s), so that no request meets a closing one. */
const keepAlive = 75_000;

export interface PrivateServerOptions {
  /** A Unix socket in a folder that only our user can enter, or an address for other machines. */
  listen: ListenAddress;
  /** PEM; without it links between machines are plain. */
  tls?: { cert: Buffer; key: Buffer } | undefined;
  /** Milliseconds for a request's headers. */
  headersTimeout: number;
  /** What to change for another address, for the error. */
  setting?: string;
}

/** A server for our own processes. */
export interface PrivateServer {
  /** For the log: `/run/core.sock`, `http://0.0.0.0:5001`. */
  address: string;
  /**
   * Takes no more requests, but for those about its health, and resolves when everything that ran has ended: by itself within the time, with 503 a moment
   * before where it waits for its turn, or because its connection was closed in the middle of its answer. One that is changing
   * something is waited for, however long that takes.
   * @param drainTime milliseconds
   */
  stop(drainTime: number): Promise<void>;
}

/** What a client is told whose request would wait for longer than this process is there. */
function stopping(): RegistryError {
  return new RegistryError('UNAVAILABLE', {
    message: 'this server is stopping; try again',
    retryAfter: 1,
    isLogged: true,
  });
}

/** @param handle answers a request, such as an app's callback; resolves when that is over */
export async function servePrivately(
  handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>,
  { listen: address, tls, headersTimeout, setting }: PrivateServerOptions,
): Promise<PrivateServer> {
  if ('socket' in address) await ensurePrivateFolder(dirname(address.socket));
  const running = new Map<Promise<void>, ServerResponse>();
  /** Answers that are not over, also of those whose handling is. */
  const open = new Set<ServerResponse>();
  let isStopping = false;
  const ended = Promise.withResolvers<void>();
  const look = () => {
    if (isStopping && running.size === 0 && open.size === 0) ended.resolve();
  };
  const server: Server =
    tls === undefined
      ? createHttpServer(serverOptions)
      : createHttpsServer({ ...serverOptions, ...tls });
  server.on('checkExpectation', (request, response) => {
    if (request.headers.expect === delegation && canGiveOrders()) serve(request, response);
    else response.writeHead(417).end();
  });
  server.on('request', serve);
  applyTimeouts(server, { headers: headersTimeout, keepAlive });

  function serve(request: IncomingMessage, response: ServerResponse): void {
    response.setHeader(internalHeaders.protocol, internalProtocol.newest);
    if (isStopping) {
      if (isHealthPath(request.url)) void handle(request, response);
      else refuse(request, response);
      return;
    }
    const handling: Promise<void> = handle(request, response).finally(() => {
      running.delete(handling);
      look();
    });
    running.set(handling, response);
    open.add(response);
    response.once('close', () => {
      open.delete(response);
      look();
    });
  }

  const port = await listen(server, address, setting === undefined ? {} : { setting });
  const scheme = tls === undefined ? 'http' : 'https';
  return {
    address: 'socket' in address ? address.socket : `${scheme}://${address.host ?? ''}:${port}`,
    async stop(drainTime) {
      isStopping = true;
      look();
      const timers = [
        setTimeout(giveUp, drainTime - Math.min(timeToGiveUp, drainTime / 4)),
        setTimeout(() => void cut(), drainTime),
      ];
      // It listens until then: whoever asks how it is learns that it stops, and does not take it for dead.
      await ended.promise;
      for (const timer of timers) clearTimeout(timer);
      await drain(server, 0);
    },
  };

  function giveUp(): void {
    for (const response of running.values()) giveUpAnswer(response, stopping());
  }

  async function cut(): Promise<void> {
    // What did not give up is in the middle of a step, as of a storage that hangs: a client whose connection is cut
    // would be told that nothing was done.
    const changes = [...running].filter(([, response]) => !isHarmless(response));
    const unanswered = changes.filter(([, { headersSent }]) => !headersSent);
    for (const response of open) {
      if (response.headersSent || isHarmless(response)) response.destroy();
    }
    await Promise.all(unanswered.map(([handling]) => handling));
    server.closeAllConnections();
    // One whose connection was closed still records how far it got.
    await Promise.all(changes.map(([handling]) => handling));
    ended.resolve();
  }
}

/** Whether it answers a request that changes nothing. */
function isHarmless({ req: { method } }: ServerResponse): boolean {
  return method === 'GET' || method === 'HEAD';
}

/** Tells one of ours to ask another process: nothing of the request is taken. */
function refuse(request: IncomingMessage, response: ServerResponse): void {
  request.resume();
  const { status, headers, body } = renderError(stopping());
  response.writeHead(status, {
    ...headers,
    [internalHeaders.refused]: 'stopping',
    Connection: 'close',
  });
  response.end(body);
}
