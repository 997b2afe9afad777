import { AsyncLocalStorage } from 'node:async_hooks';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { Logger } from '#libs/log/logger.ts';
import { lookBefore, readFirstBytes } from '../first-bytes.ts';
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
 * To be called before the server listens.
 */
export function expectProxyHeader(server: Server, options: ProxyProtocolOptions): void {
  const { isProxy, timeout, log } = options;
  /** Leads from a connection to the TLS socket that is made of it. */
  const clients = new AsyncLocalStorage<string>();

  lookBefore(server, ({ socket, handOver }) => {
    const peer = socket.remoteAddress ?? '';
    if (!isProxy(peer)) {
      handOver();
      return;
    }
    readFirstBytes(socket, timeout, parseProxyHeader, {
      onComplete({ client }) {
        if (client === undefined) {
          handOver();
          return;
        }
        setRemoteAddress(socket, client);
        clients.run(client, handOver);
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
}

function setRemoteAddress(socket: Socket, address: string): void {
  Object.defineProperty(socket, 'remoteAddress', { value: address });
}
