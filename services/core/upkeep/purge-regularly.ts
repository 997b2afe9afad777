import type { Logger } from '#libs/log/logger.ts';
import type { UploadService } from '../registry/uploads/upload-service.ts';
import type { LeaderLease } from './leader-lease.ts';
import { runRegularly, type Upkeep } from './run-regularly.ts';

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
): Upkeep {
  return runRegularly({
    interval,
    now: true,
    lease,
    log,
    failure: 'abandoned uploads could not be purged',
    async work(signal) {
      const found = await uploads.purge(new Date(Date.now() - age), { dryRun, signal });
      if (found > 0) log.info({ uploads: found, dryRun }, 'abandoned uploads purged');
    },
  });
}
