import { AsyncResource } from 'node:async_hooks';
import type { Server } from 'node:http';
import { endConnection } from './end-connection.ts';
import { type FirstBytes, lookBefore, readFirstBytes } from './first-bytes.ts';

/** What Go's servers say, so that people and programs know it. */
const sentence = 'Client sent an HTTP request to an HTTPS server.\n';

/** The version is one that every client reads. */
const answer = [
  'HTTP/1.0 400 Bad Request',
  'Content-Type: text/plain; charset=utf-8',
  `Content-Length: ${sentence.length}`,
  'Connection: close',
  '',
  sentence,
].join('\r\n');

/** How requests begin that are no TLS; the last is HTTP/2's, where both know of it beforehand. */
const methods = [
  'GET ',
  'HEAD ',
  'POST ',
  'PUT ',
  'PATCH ',
  'DELETE ',
  'OPTIONS ',
  'CONNECT ',
  'TRACE ',
  'PRI ',
];

/**
 * Tells a client that speaks plain HTTP to a server of HTTPS what is wrong, instead of closing the
 * connection on it. Nothing of the request is looked at. To be called before the server listens.
 * @param timeout milliseconds for the first bytes
 */
export function refusePlainHttp(server: Server, timeout: number): void {
  lookBefore(server, ({ socket, handOver }) => {
    // In the context of whoever looked before us, though these bytes come later.
    const goOn = AsyncResource.bind(handOver);
    readFirstBytes(socket, timeout, parseFirstBytes, {
      onComplete({ isHttp }) {
        if (isHttp) endConnection(socket, answer);
        else goOn();
      },
      onFault: () => socket.destroy(),
    });
  });
}

/** What is neither is TLS' to refuse. */
function parseFirstBytes(bytes: Buffer): FirstBytes & { isHttp?: boolean } {
  const begin = bytes.toString('latin1', 0, 8);
  if (methods.some((method) => begin.startsWith(method))) {
    return { state: 'complete', length: bytes.length, isHttp: true };
  }
  if (methods.some((method) => method.startsWith(begin))) return { state: 'incomplete' };
  return { state: 'complete', length: 0, isHttp: false };
}
