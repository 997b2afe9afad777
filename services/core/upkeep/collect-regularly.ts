import type { GarbageCollectionSettings } from '#libs/config/sections/garbage-collection.ts';
import type { Logger } from '#libs/log/logger.ts';
import { collectGarbage } from '../registry/garbage/collect.ts';
import type { StorageDriver } from '../storage/driver.ts';
import type { LeaderLease } from './leader-lease.ts';
import type { CollectionMeasures } from './measure-collections.ts';
import { runRegularly, type Upkeep } from './run-regularly.ts';

/** `portcullis.gc`: collects garbage every interval, on the leader; never, if there is none. */
export function collectRegularly(
  driver: StorageDriver,
  { interval, ...options }: GarbageCollectionSettings,
  lease: LeaderLease,
  log: Logger,
  measures: CollectionMeasures,
): Upkeep {
  if (interval === undefined) return { close: async () => {} };
  return runRegularly({
    interval,
    lease,
    log,
    failure: 'garbage could not be collected',
    onFailure: measures.failed,
    async work(signal) {
      const report = await collectGarbage(driver, { ...options, dryRun: false, signal });
      const { garbage, freed, kept, absent } = report;
      measures.done(report);
      log.info({ garbage, freed, kept }, 'garbage collected');
      if (absent.manifests > 0) {
        log.warn(
          { manifests: absent.manifests },
          'manifests are missing or damaged: nothing of their repositories is collected; run fsck',
        );
      }
    },
  });
}
