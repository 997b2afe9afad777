import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { Http2Request } from '#libs/http/http2-messages.ts';
import { partiesOf } from '#libs/limits/parties.ts';
import { createTurns } from '#libs/limits/turns.ts';

/** Requests that are begun in one turn of the event loop: whoever comes waits no longer than these take. */
const perTurn = 16;

interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
}

/**
 * Begins requests in turn: of each network one, and within it of each connection one, a few in each turn of the event
 * loop. A client may send thousands in one breath, by HTTP/2 and cancelling them at once or by pipelining: begun as they
 * come, they would keep everybody else waiting for seconds. What its client has left meanwhile is not begun at all.
 */
export function beginInTurn(listener: RequestListener): RequestListener {
  const waiting = createTurns<Exchange>();
  let begun = 0;
  let isScheduled = false;

  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      begun = 0;
      while (begun < perTurn) {
        const next = waiting.next();
        if (next === undefined) return;
        if (!hasLeft(next)) begin(next);
      }
    });
  }

  function begin({ request, response }: Exchange): void {
    begun += 1;
    schedule();
    listener(request, response);
  }

  return (request, response) => {
    const exchange = { request, response };
    if (hasLeft(exchange)) return;
    if (waiting.size === 0 && begun < perTurn) begin(exchange);
    else {
      waiting.add(exchange, networkOf(request), connectionOf(request));
      schedule();
    }
  };
}

/** The widest network that it comes from. */
function networkOf({ socket }: IncomingMessage): string {
  return partiesOf(socket.remoteAddress ?? '').networks[0] ?? '';
}

function connectionOf(request: IncomingMessage): object {
  const session = request instanceof Http2Request ? request.stream.session : undefined;
  return session ?? request.socket;
}

function hasLeft({ request, response }: Exchange): boolean {
  if (request instanceof Http2Request && request.stream.closed) return true;
  return response.closed || response.destroyed || request.socket.destroyed;
}
