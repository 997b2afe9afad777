import type { IncomingMessage, ServerResponse } from 'node:http';
import { constants } from 'node:http2';
import { Http2Request, Http2Response } from '#libs/http/http2-messages.ts';

/** A transfer's side towards the client: the whole connection's in HTTP/1.1, a stream's in HTTP/2. */
interface ClientSide {
  /** Grows with each byte, either way. */
  moved(): number;
  /** True while there is something for the client to take. */
  hasUntaken(): boolean;
  giveUp(): void;
}

/**
 * Gives up a transfer that stands still: no byte either way for `idle` milliseconds while it is the
 * client's turn, to send more of the body or to take more of the answer. A core that takes its time is
 * never cut, however long it does. A piece of an answer over HTTP/2 counts when all of it is
 * gone; they are 64 KiB at most.
 * @param isUpstreamBehind whether the upstream is to take something before more of the body is asked for
 * @returns to be called when another upstream is tried: whoever watches that one judges by it alone
 */
export function watchIdle(
  request: IncomingMessage,
  response: ServerResponse,
  isUpstreamBehind: () => boolean,
  idle: number,
): () => void {
  const client = clientSide(request, response);
  let seen = -1;
  let since = performance.now();
  const timer = setInterval(
    () => {
      const moved = client.moved();
      const clientsTurn = client.hasUntaken() || (!request.complete && !isUpstreamBehind());
      if (moved !== seen || !clientsTurn) {
        seen = moved;
        since = performance.now();
      } else if (performance.now() - since >= idle) {
        client.giveUp();
      }
    },
    Math.max(10, idle / 4),
  );
  const stop = () => clearInterval(timer);
  response.once('close', stop);
  return () => {
    response.off('close', stop);
    stop();
  };
}

function clientSide(request: IncomingMessage, response: ServerResponse): ClientSide {
  if (request instanceof Http2Request && response instanceof Http2Response) {
    return {
      moved: () => request.received + response.taken,
      hasUntaken: () => response.untaken > 0,
      giveUp: () => response.reset(constants.NGHTTP2_CANCEL),
    };
  }
  const { socket } = request;
  return {
    moved: () => socket.bytesRead + socket.bytesWritten,
    // Of several answers on a connection one is sent at a time: what those behind it wait for is not the client's to take.
    hasUntaken: () =>
      response.socket !== null && (response.writableLength > 0 || socket.writableLength > 0),
    giveUp: () => socket.destroy(),
  };
}
