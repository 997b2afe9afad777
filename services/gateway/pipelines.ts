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

/** A request on a connection that has no whole answer yet. */
interface Pending {
  response: ServerResponse;
  /** Whether it changes nothing, so that it may be served beside others that do not. */
  isSafe: boolean;
  /** Hands it on; undefined once it was. */
  begin: (() => void) | undefined;
}

const safeMethods: ReadonlySet<string | undefined> = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Follows the requests of connections, and ends those on which a client sends them faster than it takes answers. What
 * changes something is begun when all before it is answered, and what comes behind it when it is: changes of one
 * connection take effect in their order, and who asks after them sees them (RFC 9112 section 9.3.2).
 */
export function followPipelines(listener: RequestListener, log: Logger): Pipelines {
  const waiting = new WeakMap<Socket, Pending[]>();

  function beginNext(pending: readonly Pending[]): void {
    for (const [index, one] of pending.entries()) {
      const isFirst = index === 0;
      if (one.begin !== undefined && (isFirst || one.isSafe)) {
        const { begin } = one;
        one.begin = undefined;
        begin();
      }
      if (one.begin !== undefined || !one.isSafe) return;
    }
  }

  return {
    listener(request, response) {
      if (request instanceof Http2Request) return listener(request, response);
      const { socket, method } = request;
      const pending = waiting.get(socket) ?? [];
      waiting.set(socket, pending);
      if (pending.length >= maxPipelined) {
        if (socket.destroyed) return;
        const { remoteAddress: client } = socket;
        log.info({ client }, `connection closed: more than ${maxPipelined} requests wait on it`);
        socket.destroy();
        return;
      }
      const one: Pending = {
        response,
        isSafe: safeMethods.has(method),
        begin: () => listener(request, response),
      };
      pending.push(one);
      response.once('close', () => {
        pending.splice(pending.indexOf(one), 1);
        if (!socket.destroyed) beginNext(pending);
      });
      beginNext(pending);
    },
    mayRefuse(socket) {
      const [first, second] = (waiting.get(socket) ?? []).map(({ response }) => response);
      if (first === undefined) return true;
      return second === undefined && !first.headersSent && !first.req.complete;
    },
  };
}
