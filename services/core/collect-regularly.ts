import type { Settings } from '#libs/config/settings.ts';
import type { Logger } from '#libs/log/logger.ts';
import type { Duty } from './duty.ts';
import type { CollectionMeasures } from './measure-collections.ts';
import { collectGarbage } from './registry/garbage/collect.ts';
import type { StorageDriver } from './storage/driver.ts';

/** `portcullis.gc`: collects garbage every interval, where that is our duty; never, if there is none. */
export function collectRegularly(
  driver: StorageDriver,
  { interval, ...options }: Settings['garbage'],
  duty: Duty,
  log: Logger,
  measures: CollectionMeasures,
): { close(): void } {
  let running = false;
  const collect = async () => {
    if (running) return;
    running = true;
    try {
      if (!(await duty.isOurs())) return;
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
    interval === undefined ? undefined : setInterval(() => void collect(), interval).unref();
  return { close: () => clearInterval(timer) };
}
