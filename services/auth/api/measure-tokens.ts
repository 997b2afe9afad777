import type { Middleware } from 'koa';
import type { RequestState } from '#libs/http/app.ts';
import { ClientGoneError } from '#libs/http/client-gone.ts';
import type { Metrics } from '#libs/metrics/metrics.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { requestIdsOf } from './joined-requests.ts';

/** Seconds; comparing a password takes most of it. */
const buckets = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30];

/** As nginx logs it; nobody sees it. */
const clientLeft = 499;

/** How a token request ended, by the status of its answer. */
const outcomes: Readonly<Record<number, string>> = {
  200: 'issued',
  401: 'refused',
  429: 'throttled',
  [clientLeft]: 'left',
};

/** Counts and times token requests by outcome. */
export function measureTokens(metrics: Metrics): Middleware<RequestState> {
  const durations = metrics.histogram(
    'portcullis_token_request_duration_seconds',
    'Seconds a token request takes: issued, refused (no valid login), throttled, rejected (malformed), left (the client did) or failed',
    ['outcome'],
    buckets,
  );
  return async (ctx, next) => {
    const started = performance.now();
    let status = 500;
    try {
      await next();
      status = ctx.status;
    } catch (error) {
      if (error instanceof RegistryError) status = error.status;
      if (error instanceof ClientGoneError) status = clientLeft;
      throw error;
    } finally {
      const outcome = outcomes[status] ?? (status < 500 ? 'rejected' : 'failed');
      // Only what is given to all of them counts for each.
      const count = status === 200 ? requestIdsOf(ctx).length : 1;
      const seconds = (performance.now() - started) / 1000;
      for (let index = 0; index < count; index += 1) durations.observe({ outcome }, seconds);
    }
  };
}
