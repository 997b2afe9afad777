import type { RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Http2Request } from '#libs/http/http2-messages.ts';
import type { Logger } from '#libs/log/logger.ts';

/** Requests of one connection of HTTP/1.1 that may wait for their answers; hardly a client sends a second one. */
const maxPipelined = 16;

/** The answers that connections of HTTP/1.1 are waiting for. */
export interface Pipelines {
  readonly listener: RequestListener;
  /**
   * Whether what the parser makes nothing of may be answered: not in the middle of an answer, of which it would be taken
   * for a part, and not before one, for which it would be taken. Of a request whose body is broken it is the answer.
   */
  mayRefuse(socket: Socket): boolean;
}

/** Follows the requests of connections, and ends those on which a client sends them faster than it takes answers. */
export function followPipelines(listener: RequestListener, log: Logger): Pipelines {
  const waiting = new WeakMap<Socket, Set<ServerResponse>>();
  return {
    listener(request, response) {
      if (request instanceof Http2Request) return listener(request, response);
      const { socket } = request;
      const ofSocket = waiting.get(socket) ?? new Set();
      waiting.set(socket, ofSocket);
      ofSocket.add(response);
      response.once('close', () => ofSocket.delete(response));
      if (ofSocket.size <= maxPipelined) return listener(request, response);
      if (socket.destroyed) return;
      const { remoteAddress: client } = socket;
      log.info({ client }, `connection closed: more than ${maxPipelined} requests wait on it`);
      socket.destroy();
    },
    mayRefuse(socket) {
      const [first, second] = waiting.get(socket) ?? [];
      if (first === undefined) return true;
      return second === undefined && !first.headersSent && !first.req.complete;
    },
  };
}
