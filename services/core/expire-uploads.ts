import type { Logger } from '#libs/log/logger.ts';
import type { LimitedUploads } from './registry/uploads/limited-uploads.ts';

/** Milliseconds between two looks at the uploads that got no byte. */
const interval = 60_000;

/**
 * Counts the uploads that the tree holds, until that succeeds, and ends those that get no byte in time, every minute.
 * @param age milliseconds
 */
export function expireUploads(
  uploads: LimitedUploads,
  age: number,
  log: Logger,
): { close(): void } {
  const stopping = new AbortController();
  let running = false;
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
    if (running) return;
    running = true;
    if (!isCounted) await count();
    await attempt('ended', async () => {
      const ended = await uploads.expireEmpty(age);
      if (ended > 0) log.info({ uploads: ended }, 'empty uploads expired');
    });
    running = false;
  };
  running = true;
  void count().then(() => {
    running = false;
  });
  const timer = setInterval(() => void expire(), interval).unref();
  return {
    close() {
      stopping.abort();
      clearInterval(timer);
    },
  };
}
