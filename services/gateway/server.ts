import type { RequestListener, Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { SecureContextOptions } from 'node:tls';
import { createServer as createHttpServer } from '#libs/http/node-http.ts';
import { applyTimeouts, serverOptions } from '#libs/http/serve.ts';
import type { Budget } from '#libs/limits/budget.ts';
import type { Logger } from '#libs/log/logger.ts';
import { createNetworks } from '#libs/values/networks.ts';
import { beginInTurn } from './begin-in-turn.ts';
import type { ClientConnections } from './client-connections.ts';
import { createHttp2Server } from './http2/server.ts';
import { followPipelines } from './pipelines.ts';
import { refusePlainHttp } from './plain-on-tls.ts';
import { expectProxyHeader } from './proxy-protocol/expect-header.ts';
import { refuseUnread } from './refuse-unread.ts';
import { checkFirstLine } from './request-line.ts';

/** Milliseconds an idle client connection is kept. */
const keepAlive = 75_000;
/** Milliseconds for the first bytes of TLS, and for its handshake. */
const handshake = 10_000;

export interface GatewayServerOptions {
  /** Undefined: plain HTTP. */
  tls: SecureContextOptions | undefined;
  /** HTTP/2 beside HTTP/1.1; without `tls` of no effect. */
  http2: boolean;
  /** Milliseconds for a request's headers to arrive. */
  headersTimeout: number;
  /** Milliseconds without a byte after which a transfer is given up. */
  idleTimeout: number;
  /** Addresses and ranges whose connections begin with a PROXY header; true for everybody's. */
  proxyProtocol: boolean | readonly string[];
  /** Milliseconds for the first bytes of TLS, and for its handshake. */
  handshakeTimeout?: number;
  connections: ClientConnections;
  /** Shares out streams of HTTP/2. */
  streams: Budget;
  log: Logger;
}

/**
 * The server that clients reach; it is still to listen.
 * @throws Error naming an entry of `proxyProtocol` that is no network
 */
export function createGatewayServer(
  options: GatewayServerOptions,
  listener: RequestListener,
): Server {
  const { tls, headersTimeout, handshakeTimeout = handshake } = options;
  const pipelines = followPipelines(beginInTurn(listener), options.log);
  const server = createServer({ ...options, handshakeTimeout }, pipelines.listener);
  applyTimeouts(server, { headers: headersTimeout, keepAlive });
  refuseUnread(server, pipelines.mayRefuse);
  // Who is called last looks first: whose connection it is, whether there is a share, what it speaks.
  checkFirstLine(server, tls !== undefined, headersTimeout);
  if (tls !== undefined) refusePlainHttp(server, handshakeTimeout);
  options.connections.watch(server);
  takeProxyProtocol(server, options);
  return server;
}

type ServerOptions = GatewayServerOptions & { handshakeTimeout: number };

function createServer(
  { tls, http2, headersTimeout, idleTimeout: idle, handshakeTimeout, streams }: ServerOptions,
  listener: RequestListener,
): Server {
  if (tls !== undefined && http2) {
    const times = { handshake: handshakeTimeout, headersTimeout, keepAlive, idle };
    return createHttp2Server({ tls, streams, ...times }, listener);
  }
  const server =
    tls === undefined
      ? createHttpServer(serverOptions)
      : createHttpsServer({
          ...serverOptions,
          ...tls,
          handshakeTimeout,
          ALPNProtocols: ['http/1.1'],
        });
  server.on('request', listener);
  // Left alone, Node would ask for the body before anybody looked at the credentials.
  server.on('checkContinue', listener);
  return server;
}

function takeProxyProtocol(
  server: Server,
  { proxyProtocol: from, headersTimeout: timeout, log }: GatewayServerOptions,
): void {
  if (from === false) return;
  const isProxy =
    from === true ? () => true : createNetworks(from, 'portcullis.gateway.proxyprotocol');
  expectProxyHeader(server, { isProxy, timeout, log });
}
