import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { Http2Request } from '#libs/http/http2-messages.ts';
import { networksOf } from '#libs/values/client-networks.ts';

/** Requests that are begun in one turn of the event loop: whoever comes waits no longer than these take. */
const perTurn = 16;

interface Exchange {
  request: IncomingMessage;
  response: ServerResponse;
}

/** Those who wait, by network and connection; who had the last turn is the last. */
type Waiting = Map<string, Map<object, Exchange[]>>;

/**
 * Begins requests in turn: of each network one, and within it of each connection one, a few in each turn of the event
 * loop. A client may send thousands in one breath, by HTTP/2 and cancelling them at once or by pipelining: begun as they
 * come, they would keep everybody else waiting for seconds. What its client has left meanwhile is not begun at all.
 */
export function beginInTurn(listener: RequestListener): RequestListener {
  const networks: Waiting = new Map();
  let begun = 0;
  let isScheduled = false;

  function schedule(): void {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      begun = 0;
      while (begun < perTurn) {
        const next = takeNext(networks);
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
    if (networks.size === 0 && begun < perTurn) begin(exchange);
    else {
      append(networks, exchange);
      schedule();
    }
  };
}

function append(networks: Waiting, exchange: Exchange): void {
  const { request } = exchange;
  const network = networksOf(request.socket.remoteAddress ?? '').at(-1) ?? '';
  const connections = networks.get(network) ?? new Map<object, Exchange[]>();
  networks.set(network, connections);
  const connection =
    (request instanceof Http2Request ? request.stream.session : undefined) ?? request.socket;
  const queue = connections.get(connection);
  if (queue === undefined) connections.set(connection, [exchange]);
  else queue.push(exchange);
}

function takeNext(networks: Waiting): Exchange | undefined {
  const [ofNetwork] = networks;
  if (ofNetwork === undefined) return undefined;
  const [network, connections] = ofNetwork;
  networks.delete(network);
  const [ofConnection] = connections;
  if (ofConnection === undefined) return undefined;
  const [connection, queue] = ofConnection;
  connections.delete(connection);
  const next = queue.shift();
  if (queue.length > 0) connections.set(connection, queue);
  if (connections.size > 0) networks.set(network, connections);
  return next;
}

function hasLeft({ request, response }: Exchange): boolean {
  return response.closed || response.destroyed || request.socket.destroyed;
}
