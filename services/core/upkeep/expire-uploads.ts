import type { Logger } from '#libs/log/logger.ts';
import type { LimitedUploads } from '../registry/uploads/limited-uploads.ts';
import { endOf, type Upkeep } from './run-regularly.ts';

/** Milliseconds between two looks at the uploads that got no byte. */
const interval = 60_000;

/**
 * Counts the uploads that the tree holds, until that succeeds, and ends those that get no byte in time, every minute.
 * @param age milliseconds
 */
export function expireUploads(uploads: LimitedUploads, age: number, log: Logger): Upkeep {
  const stopping = new AbortController();
  let running: Promise<void> | undefined;
  let isCounted = false;
  const attempt = async (what: string, action: () => Promise<void>) => {
    try {
      await action();
    } catch (error) {
      if (!stopping.signal.aborted) log.warn({ err: error }, `open uploads could not be ${what}`);
    }
  };
  const count = () =>
    attempt('counted', async () => {
      await uploads.census(stopping.signal);
      isCounted = true;
    });
  const expire = async () => {
    if (!isCounted) await count();
    await attempt('ended', async () => {
      const ended = await uploads.expireEmpty(age);
      if (ended > 0) log.info({ uploads: ended }, 'empty uploads expired');
    });
  };
  const start = (work: () => Promise<void>) => {
    running ??= work().finally(() => {
      running = undefined;
    });
  };
  start(count);
  const timer = setInterval(() => start(expire), interval).unref();
  return {
    async close() {
      stopping.abort();
      clearInterval(timer);
      await endOf(running);
    },
  };
}
