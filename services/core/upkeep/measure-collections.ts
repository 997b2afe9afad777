import type { Metrics } from '#libs/metrics/metrics.ts';
import type { CollectReport } from '../registry/garbage/collection.ts';

/** Notes what the collections of this core did; those of the command are its own. */
export interface CollectionMeasures {
  done(report: CollectReport): void;
  failed(): void;
}

/** @param metrics undefined: nothing is measured */
export function measureCollections(metrics: Metrics | undefined): CollectionMeasures {
  if (metrics === undefined) return { done() {}, failed() {} };
  const collections = metrics.counter(
    'portcullis_garbage_collections_total',
    'Collections of garbage by schedule, by outcome',
    ['outcome'],
  );
  const lastDone = metrics.gauge(
    'portcullis_garbage_last_collection_timestamp_seconds',
    'When the last collection by schedule was done, in Unix time; 0 before the first',
  );
  const collected = metrics.counter(
    'portcullis_garbage_collected_total',
    'Things that went to the trash, by kind',
    ['kind'],
  );
  const collectedBytes = metrics.counter(
    'portcullis_garbage_collected_bytes_total',
    'Bytes of the blobs that went to the trash',
  );
  const freed = metrics.counter(
    'portcullis_garbage_freed_total',
    'Things that were removed from the trash for good',
  );
  const freedBytes = metrics.counter(
    'portcullis_garbage_freed_bytes_total',
    'Bytes that were removed from the trash for good',
  );
  for (const outcome of ['done', 'failed']) collections.inc({ outcome }, 0);

  return {
    done({ garbage, freed: removed }) {
      collections.inc({ outcome: 'done' });
      lastDone.set(Date.now() / 1000);
      for (const kind of ['manifests', 'layers', 'blobs'] as const) {
        collected.inc({ kind }, garbage[kind]);
      }
      collectedBytes.inc(garbage.bytes);
      freed.inc(removed.items);
      freedBytes.inc(removed.bytes);
    },
    failed: () => collections.inc({ outcome: 'failed' }),
  };
}
