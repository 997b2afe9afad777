import type { Metrics } from '#libs/metrics/metrics.ts';

/** @returns to be called for each login that is refused */
export function countRefusals(metrics: Metrics | undefined): () => void {
  const refused = metrics?.counter(
    'portcullis_logins_refused_total',
    'Logins with a wrong name, password or token',
  );
  return () => refused?.inc();
}
