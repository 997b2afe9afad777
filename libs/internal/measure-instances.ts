import type { Metrics } from '#libs/metrics/metrics.ts';
import type { Instances } from './instances.ts';

/**
 * `portcullis_upstream_up`: how the processes behind us are.
 * @param ways by what is behind them: `core`, `auth`
 */
export function measureInstances(
  ways: Readonly<Record<string, Pick<Instances, 'all'>>>,
  metrics: Metrics | undefined,
): void {
  metrics?.gauge(
    'portcullis_upstream_up',
    '1 for each process behind this one that gets requests, 0 for one that does not for now',
    ['service', 'upstream'],
    (gauge) => {
      gauge.reset();
      for (const [service, instances] of Object.entries(ways)) {
        for (const { name, ready } of instances.all()) {
          gauge.set({ service, upstream: name }, ready ? 1 : 0);
        }
      }
    },
  );
}
