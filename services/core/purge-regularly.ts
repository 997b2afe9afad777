import type { Logger } from '#libs/log/logger.ts';
import type { LeaderLease } from './leader-lease.ts';
import { setLongInterval } from './long-interval.ts';
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
  lease: LeaderLease,
  log: Logger,
): { close(): void } {
  let running = false;
  const purge = async () => {
    if (running) return;
    running = true;
    try {
      if (!(await lease.isLeader())) return;
      const found = await uploads.purge(new Date(Date.now() - age), { dryRun });
      if (found > 0) log.info({ uploads: found, dryRun }, 'abandoned uploads purged');
    } catch (error) {
      log.warn({ err: error }, 'abandoned uploads could not be purged');
    } finally {
      running = false;
    }
  };
  void purge();
  return setLongInterval(() => void purge(), interval);
}
