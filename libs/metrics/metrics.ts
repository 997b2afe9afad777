import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export type { Counter, Gauge, Histogram } from 'prom-client';

/** Ours, and what distribution has the same of. */
type Prefix = 'portcullis' | 'registry';

/**
 * What one process measures. Whoever measures declares here what, next to where it happens. A label's
 * values are few and known beforehand: never a repository, a digest, or a user.
 *
 * A gauge that is looked up when somebody asks:
 *
 *     metrics.gauge('portcullis_redis_up', '1 while Redis answers', [], (g) => g.set(redis.up ? 1 : 0));
 */
export interface Metrics {
  counter<Label extends string = never>(
    name: `${Prefix}_${string}_total`,
    help: string,
    labels?: readonly Label[],
    collect?: (counter: Counter<Label>) => void,
  ): Counter<Label>;
  /** @param buckets upper bounds, in the unit that the name ends with */
  histogram<Label extends string = never>(
    name: `${Prefix}_${string}_${'seconds' | 'bytes'}`,
    help: string,
    labels: readonly Label[],
    buckets: readonly number[],
  ): Histogram<Label>;
  /** @param collect called before each scrape; what it rejects with fails the scrape */
  gauge<Label extends string = never>(
    name: `${Prefix}_${string}`,
    help: string,
    labels?: readonly Label[],
    collect?: (gauge: Gauge<Label>) => void | Promise<void>,
  ): Gauge<Label>;
  /** Everything, in Prometheus' text format 0.0.4. */
  expose(): Promise<string>;
}

export interface MetricsOptions {
  /** Which of our processes: the label `process` of every series. */
  process: string;
  version: string;
}

/** The metrics of a process, those of the runtime among them. */
export function createMetrics({ process: name, version }: MetricsOptions): Metrics {
  const registry = new Registry();
  const registers = [registry];
  registry.setDefaultLabels({ process: name });
  collectDefaultMetrics({ register: registry });

  const metrics: Metrics = {
    counter: (name, help, labelNames = [], collect) =>
      new Counter({
        name,
        help,
        labelNames,
        registers,
        ...(collect === undefined
          ? {}
          : {
              collect() {
                collect(this);
              },
            }),
      }),
    histogram: (name, help, labelNames, buckets) =>
      new Histogram({ name, help, labelNames, buckets: [...buckets], registers }),
    gauge: (name, help, labelNames = [], collect) =>
      new Gauge({
        name,
        help,
        labelNames,
        registers,
        ...(collect === undefined
          ? {}
          : {
              collect() {
                return collect(this);
              },
            }),
      }),
    expose: () => registry.metrics(),
  };
  metrics
    .gauge('portcullis_build_info', 'Always 1; which Portcullis and which Node run', [
      'version',
      'node',
    ])
    .set({ version, node: process.versions.node }, 1);
  return metrics;
}
