import type { Counter, Histogram, Metrics } from '#libs/metrics/metrics.ts';
import { type StorageDriver, StorageError, type StorageWriter } from './driver.ts';

/** Seconds; from a look into memory to a storage that is in trouble. */
const buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30];

/** What a driver does, as far as it takes time. */
const operations = [
  ...[
    'stat',
    'read',
    'openFile',
    'readWhole',
    'put',
    'openWriter',
    'list',
    'move',
    'rename',
    'syncName',
  ],
  ...['remove', 'clearLeftovers', 'prune', 'touch', 'belongsToThisMachine'],
] as const;

/** What takes none, or says nothing of the storage by its time. */
const others = ['localPath', 'close'] as const;

const isOperation = (name: string) => operations.some((one) => one === name);

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
  const whole: Record<string, unknown> = { name: driver.name };
  if (driver.chunkMinLength !== undefined) whole.chunkMinLength = driver.chunkMinLength;
  if (driver.tree !== undefined) whole.tree = driver.tree;
  for (const name of [...operations, ...others]) {
    // An ability that it does not have stays absent.
    if (driver[name] === undefined) continue;
    const act = (driver[name] as (...args: unknown[]) => Promise<unknown>).bind(driver);
    whole[name] = isOperation(name) ? measured(name, act, measures) : act;
  }
  const { openWriter, ...rest } = whole as unknown as StorageDriver;
  return {
    ...rest,
    openWriter: async (...args) => measureWriter(await openWriter(...args), measures),
  };
}

function measureWriter(writer: StorageWriter, measures: Measures): StorageWriter {
  return {
    get size() {
      return writer.size;
    },
    write: measured('write', (bytes) => writer.write(bytes), measures),
    sync: measured('sync', () => writer.sync(), measures),
    close: () => writer.close(),
  };
}

/** @param act what is measured, as an operation of this name */
function measured<Args extends unknown[], Result>(
  operation: string,
  act: (...args: Args) => Promise<Result>,
  { durations, errors }: Measures,
): (...args: Args) => Promise<Result> {
  return async (...args) => {
    const started = performance.now();
    try {
      return await act(...args);
    } catch (error) {
      const code = error instanceof StorageError ? error.code : 'failed';
      errors.inc({ operation, code });
      throw error;
    } finally {
      durations.observe({ operation }, (performance.now() - started) / 1000);
    }
  };
}
