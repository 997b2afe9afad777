import type { GarbageCollectionSettings } from '#libs/config/sections/garbage-collection.ts';
import type { Logger } from '#libs/log/logger.ts';
import type { LeaderLease } from './leader-lease.ts';
import { setLongInterval } from './long-interval.ts';
import type { CollectionMeasures } from './measure-collections.ts';
import { collectGarbage } from './registry/garbage/collect.ts';
import type { StorageDriver } from './storage/driver.ts';

/** `portcullis.gc`: collects garbage every interval, on the leader; never, if there is none. */
export function collectRegularly(
  driver: StorageDriver,
  { interval, ...options }: GarbageCollectionSettings,
  lease: LeaderLease,
  log: Logger,
  measures: CollectionMeasures,
): { close(): void } {
  let running = false;
  const collect = async () => {
    if (running) return;
    running = true;
    try {
      if (!(await lease.isLeader())) return;
      const report = await collectGarbage(driver, { ...options, dryRun: false });
      const { garbage, freed, kept } = report;
      measures.done(report);
      log.info({ garbage, freed, kept }, 'garbage collected');
    } catch (error) {
      measures.failed();
      log.warn({ err: error }, 'garbage could not be collected');
    } finally {
      running = false;
    }
  };
  const timer =
    interval === undefined ? undefined : setLongInterval(() => void collect(), interval);
  return { close: () => timer?.close() };
}
