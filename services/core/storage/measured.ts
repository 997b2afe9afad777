import type { Counter, Histogram, Metrics } from '#libs/metrics/metrics.ts';
import { type StorageDriver, StorageError, type StorageWriter } from './driver.ts';

/** Seconds; from a look into memory to a storage that is in trouble. */
const buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30];

/** Members whose time says nothing of the storage. */
const notMeasured: ReadonlySet<string | symbol> = new Set(['close', 'then']);

interface Measures {
  durations: Histogram<'operation'>;
  errors: Counter<'operation' | 'code'>;
}

/** The same driver, with every ability it has; how long its operations take is measured. */
export function measureStorage(driver: StorageDriver, metrics: Metrics | undefined): StorageDriver {
  if (metrics === undefined) return driver;
  const measures: Measures = {
    durations: metrics.histogram(
      'portcullis_storage_operation_duration_seconds',
      'Seconds an operation of the storage takes; reading counts until the file is open',
      ['operation'],
      buckets,
    ),
    errors: metrics.counter(
      'portcullis_storage_errors_total',
      'Operations of the storage that failed, by code; not-found and exists are part of the day’s work',
      ['operation', 'code'],
    ),
  };
  return measureMembers(driver, measures);
}

/** Whatever the object can do, members unknown here too; those that give a promise are measured. */
function measureMembers<T extends StorageDriver | StorageWriter>(target: T, measures: Measures): T {
  const wrapped = new Map<string | symbol, unknown>();
  return new Proxy(target, {
    get(_, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      let method = wrapped.get(name);
      if (method === undefined) {
        const call = (...args: unknown[]) => Reflect.apply(member, target, args) as unknown;
        method = notMeasured.has(name) ? call : measured(String(name), call, measures);
        wrapped.set(name, method);
      }
      return method;
    },
  });
}

function measured(
  operation: string,
  call: (...args: unknown[]) => unknown,
  measures: Measures,
): (...args: unknown[]) => unknown {
  return (...args) => {
    const started = performance.now();
    const result = call(...args);
    if (!(result instanceof Promise)) return result;
    return result.then(
      (value: unknown) => {
        measures.durations.observe({ operation }, (performance.now() - started) / 1000);
        if (operation !== 'openWriter') return value;
        return measureMembers(value as StorageWriter, measures);
      },
      (error: unknown) => {
        measures.durations.observe({ operation }, (performance.now() - started) / 1000);
        const code = error instanceof StorageError ? error.code : 'failed';
        measures.errors.inc({ operation, code });
        throw error;
      },
    );
  };
}
