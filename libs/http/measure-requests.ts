import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Context, Middleware } from 'koa';
import type { Counter, Metrics } from '#libs/metrics/metrics.ts';
import { whenAnswered } from './client-gone.ts';
import { measureAsDistribution } from './distribution-metrics.ts';
import { Http1Request, Http1Response } from './http1-messages.ts';
import { Http2Request, Http2Response } from './http2-messages.ts';

/** Seconds; a layer may take minutes. */
const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

/** Over HTTP/2 a client may send any word as its method, and each would be a series. */
const knownMethods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']);

/** The status of a request whose client left before the answer began; no answer has it. */
const clientLeft = 499;

type Count = Counter<'route'>;

/** A request that is being served. */
interface Exchange {
  route(): string | undefined;
  /** Bytes so far, and how many of them are counted already. */
  received: { bytes: () => number; counted: number };
  sent: { bytes: () => number; counted: number };
}

/**
 * Counts requests, their time and the bytes of their bodies.
 * @param routeOf the id of the route, once it is known; requests without one are `other`
 * @param asDistribution whether distribution's names are there as well
 */
export function measureRequests(
  metrics: Metrics,
  routeOf: (ctx: Context) => string | undefined,
  { asDistribution = false } = {},
): Middleware {
  const running = new Set<Exchange>();
  const requests = metrics.counter(
    'portcullis_http_requests_total',
    'Requests answered, by route, method and status; 499: the client left before the answer',
    ['route', 'method', 'status'],
  );
  const durations = metrics.histogram(
    'portcullis_http_request_duration_seconds',
    'Seconds from the headers of a request to the end of its answer, by route and status',
    ['route', 'status'],
    buckets,
  );
  metrics.gauge('portcullis_http_requests_in_flight', 'Requests being served now', [], (gauge) =>
    gauge.set(running.size),
  );
  const received = metrics.counter(
    'portcullis_http_received_bytes_total',
    'Bytes of request bodies, by route; those on their way too',
    ['route'],
    (counter) => countAll(counter, 'received'),
  );
  const sent = metrics.counter(
    'portcullis_http_sent_bytes_total',
    'Bytes of answers’ bodies, by route; those on their way too',
    ['route'],
    (counter) => countAll(counter, 'sent'),
  );

  const tellDistribution = asDistribution
    ? measureAsDistribution(metrics, () => [...running].map(({ route }) => route()))
    : undefined;

  function countAll(counter: Count, way: 'received' | 'sent'): void {
    for (const exchange of running) {
      const route = exchange.route();
      if (route !== undefined) count(counter, route, exchange[way]);
    }
  }

  return async (ctx, next) => {
    const started = performance.now();
    const exchange: Exchange = {
      route: () => routeOf(ctx),
      received: { bytes: () => receivedBy(ctx.req), counted: 0 },
      sent: { bytes: () => takenFrom(ctx.res), counted: 0 },
    };
    running.add(exchange);
    whenAnswered(ctx.res, () => {
      running.delete(exchange);
      const route = routeOf(ctx) ?? 'other';
      const method = knownMethods.has(ctx.method) ? ctx.method : 'other';
      const status = ctx.res.headersSent ? ctx.res.statusCode : clientLeft;
      requests.inc({ route, method, status });
      const seconds = (performance.now() - started) / 1000;
      durations.observe({ route, status }, seconds);
      tellDistribution?.({
        ...{ route, method, status, seconds },
        receivedBytes: exchange.received.bytes(),
        sentBytes: exchange.sent.bytes(),
      });
      count(received, route, exchange.received);
      count(sent, route, exchange.sent);
    });
    await next();
  };
}

/** Bytes of a request's body so far. */
function receivedBy(request: IncomingMessage): number {
  const counts = request instanceof Http1Request || request instanceof Http2Request;
  return counts ? request.received : 0;
}

/** Bytes of an answer's body that were handed to the connection so far, or over HTTP/2 left by it. */
function takenFrom(response: ServerResponse): number {
  if (response instanceof Http1Response) return response.written;
  return response instanceof Http2Response ? response.taken : 0;
}

function count(counter: Count, route: string, flow: Exchange['received']): void {
  const more = flow.bytes() - flow.counted;
  if (more <= 0) return;
  flow.counted += more;
  counter.inc({ route }, more);
}
