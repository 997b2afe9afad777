import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http';

/**
 * Gives up a transfer that stands still: no byte either way for `idle` milliseconds while it is the
 * client's turn, to send more of the body or to take more of the answer. A core that takes its time is
 * never cut, however long it does.
 */
export function watchIdle(
  request: IncomingMessage,
  response: ServerResponse,
  upstream: ClientRequest,
  idle: number,
): void {
  const { socket } = request;
  let seen = -1;
  let since = performance.now();
  const timer = setInterval(
    () => {
      const moved = socket.bytesRead + socket.bytesWritten;
      const unread = response.writableLength > 0 || socket.writableLength > 0;
      const clientsTurn = unread || (!request.complete && !upstream.writableNeedDrain);
      if (moved !== seen || !clientsTurn) {
        seen = moved;
        since = performance.now();
      } else if (performance.now() - since >= idle) {
        socket.destroy();
      }
    },
    Math.max(10, idle / 4),
  );
  response.once('close', () => clearInterval(timer));
}
