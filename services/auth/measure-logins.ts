import type { Metrics } from '#libs/metrics/metrics.ts';
import type { Limited } from './limits/login-limits.ts';
import type { ComparisonQueueOptions } from './users/comparison-queue.ts';

/** Seconds that a comparison waits for a thread. */
const buckets = [0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

/** What is counted of logins. */
export interface LoginMeasures {
  refused(): void;
  limited(limited: Limited): void;
  comparison: NonNullable<ComparisonQueueOptions['onEnd']>;
}

export function measureLogins(metrics: Metrics | undefined): LoginMeasures {
  const refused = metrics?.counter(
    'portcullis_logins_refused_total',
    'Logins with a wrong name, password or token',
  );
  const limited = metrics?.counter(
    'portcullis_logins_limited_total',
    'Logins, and requests without one, that were not looked at, by the limit that was reached',
    ['limit'],
  );
  const waits = metrics?.histogram(
    'portcullis_password_wait_seconds',
    'Seconds until the comparison of a password began (compared), was refused for its wait (shed), or nobody waited (left)',
    ['outcome'],
    buckets,
  );
  return {
    refused: () => refused?.inc(),
    limited: ({ limit }) => limited?.inc({ limit }),
    comparison: (outcome, waitedMs) => waits?.observe({ outcome }, waitedMs / 1000),
  };
}
