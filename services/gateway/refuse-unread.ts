import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { endConnection } from './end-connection.ts';

/** What the parser gives up, by the code of its error; 400 for all others. */
const lines: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

/**
 * Answers what no request can be made of, and closes. Node's own answer is lost with what the client still
 * sends, where somebody looked at the connection before TLS did.
 * @param mayAnswer whether an answer on a connection would not be taken for that of a request
 */
export function refuseUnread(server: Server, mayAnswer: (socket: Socket) => boolean): void {
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const { code = '' } = error;
    const isRequest = /^(?:HPE|ERR_HTTP)_/.test(code);
    if (!isRequest || !socket.writable || !mayAnswer(socket)) {
      socket.destroy(error);
      return;
    }
    const line = lines[code] ?? '400 Bad Request';
    endConnection(socket, `HTTP/1.1 ${line}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
  });
}
