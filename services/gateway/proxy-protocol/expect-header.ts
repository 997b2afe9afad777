import { AsyncLocalStorage } from 'node:async_hooks';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Logger } from '#libs/log/logger.ts';
import { parseProxyHeader } from './parse-header.ts';

export interface ProxyProtocolOptions {
  /** Whose connections must begin with a header; nobody else's is looked for one. */
  isProxy: (address: string) => boolean;
  /** Milliseconds for the header to arrive. */
  timeout: number;
  log: Logger;
}

/**
 * Has a server of HTTP, HTTPS or HTTP/2 take the PROXY protocol, before TLS and HTTP see anything. From
 * then on the `remoteAddress` of a socket is the header's. A connection without a proper header is
 * closed, with a line in the log at debug.
 * To be called before the server listens. It stays the server that listens, counts and closes.
 */
export function expectProxyHeader(server: Server, options: ProxyProtocolOptions): void {
  const { isProxy, timeout, log } = options;
  const listeners = server.listeners('connection');
  /** Leads from a connection to the TLS socket that is made of it. */
  const clients = new AsyncLocalStorage<string>();
  const waiting = new Set<Socket>();

  const handOver = (socket: Socket) => {
    for (const listener of listeners) Reflect.apply(listener, server, [socket]);
  };

  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    const peer = socket.remoteAddress ?? '';
    if (!isProxy(peer)) {
      handOver(socket);
      return;
    }
    waiting.add(socket);
    socket.once('close', () => waiting.delete(socket));
    readHeader(socket, timeout, {
      onHeader(client) {
        waiting.delete(socket);
        if (client === undefined) {
          handOver(socket);
          return;
        }
        setRemoteAddress(socket, client);
        clients.run(client, handOver, socket);
      },
      onFault(why) {
        log.debug({ peer, why }, 'closing a connection without a proper PROXY header');
        socket.destroy();
      },
    });
  });
  server.prependListener('secureConnection', (socket: TLSSocket) => {
    const client = clients.getStore();
    if (client !== undefined) setRemoteAddress(socket, client);
  });

  // Of connections that no request can be on yet, the server itself knows nothing.
  for (const close of ['closeIdleConnections', 'closeAllConnections'] as const) {
    const closeOthers = server[close].bind(server);
    server[close] = () => {
      for (const socket of waiting) socket.destroy();
      closeOthers();
    };
  }
}

interface HeaderEvents {
  /** The header came, and the socket stands behind it. */
  onHeader(client: string | undefined): void;
  /** There will be no header; the socket is still to be closed. */
  onFault(why: string): void;
}

/** Calls one of both, once; neither if the socket is closed meanwhile. */
function readHeader(socket: Socket, timeout: number, { onHeader, onFault }: HeaderEvents): void {
  let bytes: Buffer = Buffer.alloc(0);
  const look = () => {
    const chunk = socket.read() as Buffer | null;
    if (chunk === null) return;
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
    const header = parseProxyHeader(bytes);
    if (header.state === 'malformed') fail(header.why);
    if (header.state !== 'complete') return;
    settle();
    if (bytes.length > header.length) socket.unshift(bytes.subarray(header.length));
    onHeader(header.client);
  };
  const settle = () => {
    clearTimeout(timer);
    socket.off('readable', look).off('end', onEnd).off('error', onError).off('close', settle);
  };
  const fail = (why: string) => {
    settle();
    // Whatever else befalls it concerns nobody.
    socket.on('error', () => {});
    onFault(why);
  };
  const onEnd = () => fail('it ended before the header was whole');
  const onError = (error: Error) => fail(error.message);
  const timer = setTimeout(() => fail('the header took too long'), timeout);
  socket.on('readable', look).on('end', onEnd).on('error', onError).on('close', settle);
}

function setRemoteAddress(socket: Socket, address: string): void {
  Object.defineProperty(socket, 'remoteAddress', { value: address });
}
