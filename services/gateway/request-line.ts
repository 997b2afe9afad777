import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { endConnection } from './end-connection.ts';
import { type FirstBytes, lookBefore, readFirstBytes } from './first-bytes.ts';

/** Bytes of a head that Node takes; what is longer it refuses by itself. */
const maxHead = 16 * 1024;

const refusal = 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n';
const tooLate = 'HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n';

/**
 * Node's parser takes any number of blanks between the parts of a request line, and gives no sight of the
 * line. Others read such a line differently or refuse it (RFC 9112 section 3), so the first one of each
 * connection is looked at before the parser has it; everything else about it is the parser's. What
 * follows on the connection goes to the parser without passing through JavaScript, and is not looked at: that
 * would cost an upload half as much processor time again.
 * To be called before the server listens.
 * @param isTls whether the server speaks TLS; connections of HTTP/2 are left alone
 * @param timeout milliseconds for the line
 */
export function checkFirstLine(server: Server, isTls: boolean, timeout: number): void {
  lookBefore(
    server,
    ({ socket, handOver }) => {
      if (isTls && (socket as TLSSocket).alpnProtocol === 'h2') {
        handOver();
        return;
      }
      readFirstBytes(socket as Socket, timeout, parseFirstBytes, {
        onComplete({ isProper }) {
          if (isProper) handOver();
          else endConnection(socket, refusal);
        },
        onFault(_, isLate) {
          if (isLate) endConnection(socket, tooLate);
          else socket.destroy();
        },
      });
    },
    isTls ? 'secureConnection' : 'connection',
  );
}

function parseFirstBytes(bytes: Buffer): FirstBytes & { isProper?: boolean } {
  // Empty lines before a request are passed over (RFC 9112 section 2.2).
  let start = 0;
  while (bytes[start] === 13 || bytes[start] === 10) start += 1;
  const end = bytes.indexOf('\n', start);
  if (end === -1 && bytes.length <= maxHead) return { state: 'incomplete' };
  const line = bytes.toString('latin1', start, end === -1 ? maxHead : end);
  // Nothing but empty lines, as far as anybody would read.
  const isProper = start < bytes.length && !/ {2}/.test(line);
  return { state: 'complete', length: isProper ? 0 : bytes.length, isProper };
}
