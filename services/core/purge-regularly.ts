import type { Logger } from '#libs/log/logger.ts';
import type { Duty } from './duty.ts';
import type { UploadService } from './registry/uploads/upload-service.ts';

export interface PurgeOptions {
  /** Milliseconds an upload may be open. */
  age: number;
  /** Milliseconds between two looks. */
  interval: number;
  /** Only count. */
  dryRun: boolean;
}

/** `storage.maintenance.uploadpurging`: removes abandoned uploads, now and every interval. */
export function purgeRegularly(
  uploads: UploadService,
  { age, interval, dryRun }: PurgeOptions,
  duty: Duty,
  log: Logger,
): { close(): void } {
  let running = false;
  const purge = async () => {
    if (running) return;
    running = true;
    try {
      if (!(await duty.isOurs())) return;
      const found = await uploads.purge(new Date(Date.now() - age), { dryRun });
      if (found > 0) log.info({ uploads: found, dryRun }, 'abandoned uploads purged');
    } catch (error) {
      log.warn({ err: error }, 'abandoned uploads could not be purged');
    } finally {
      running = false;
    }
  };
  void purge();
  const timer = setInterval(() => void purge(), interval).unref();
  return { close: () => clearInterval(timer) };
}
