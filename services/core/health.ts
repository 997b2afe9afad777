import type { Logger } from '#libs/log/logger.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { paths } from './registry/paths.ts';
import { ifPresent, type StorageDriver } from './storage/driver.ts';

/** What decides whether requests are served. */
export interface Health {
  /** Why requests are not served; undefined while they are. */
  reason(): string | undefined;
  /** @throws RegistryError UNAVAILABLE while unhealthy */
  assertHealthy(): void;
  /** Stops serving for a reason that will not pass by itself. */
  fail(reason: string): void;
  close(): void;
}

export interface HealthOptions {
  driver: StorageDriver;
  log: Logger;
  /** Undefined: storage is not watched. Times in milliseconds. */
  storage: { interval: number; threshold: number } | undefined;
}

/**
 * `health.storagedriver`: asks the storage every interval; after `threshold` failures in a row every
 * request gets 503 until it answers again, as distribution does.
 */
export function createHealth({ driver, log, storage }: HealthOptions): Health {
  let failures = 0;
  let fatal: string | undefined;

  async function check(threshold: number): Promise<void> {
    try {
      await ifPresent(driver.stat(paths.root));
      if (failures >= threshold) log.info('storage answers again');
      failures = 0;
    } catch (error) {
      failures += 1;
      if (failures === threshold) log.error({ err: error }, 'storage does not answer');
    }
  }

  const timer =
    storage === undefined
      ? undefined
      : setInterval(() => void check(storage.threshold), storage.interval).unref();

  const reason = () => {
    if (fatal !== undefined) return fatal;
    const away = storage !== undefined && failures >= storage.threshold;
    return away ? 'the storage does not answer' : undefined;
  };

  return {
    reason,
    assertHealthy() {
      const message = reason();
      if (message === undefined) return;
      const retryAfter = fatal === undefined ? 10 : 30;
      throw new RegistryError('UNAVAILABLE', { message, retryAfter });
    },
    fail(reason) {
      fatal = reason;
    },
    close() {
      clearInterval(timer);
    },
  };
}
