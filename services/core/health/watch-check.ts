import type { Watch } from '#libs/config/sections/health.ts';
import type { Logger } from '#libs/log/logger.ts';
import { setLongInterval } from '../long-interval.ts';

/** Something to look at now and then. Times in milliseconds. */
export interface HealthCheck extends Watch {
  name: string;
  /** What clients are told while it fails. */
  publicMessage: string;
  /** How long it may run before every further interval counts as a failure. */
  maxDuration: number;
  /** Resolves when all is good. @throws Error saying what is not; it holds no secret */
  check(): Promise<void>;
}

export interface WatchedCheck {
  name: string;
  publicMessage: string;
  /** Why it counts as failed; undefined while it does not. */
  error(): string | undefined;
  close(): void;
}

/**
 * Looks every interval, for the first time after one. The check counts as failed after `threshold` failures in
 * a row, until it is good once. One that does not end is not started again.
 */
export function watchCheck(
  { name, publicMessage, interval, threshold, maxDuration, check }: HealthCheck,
  log: Logger,
): WatchedCheck {
  let failures = 0;
  let last = '';
  let runningSince: number | undefined;

  function failed(error: unknown): void {
    failures += 1;
    last = (error as Error).message;
    if (failures === threshold) log.error({ check: name, err: error }, 'health check failed');
  }

  function good(): void {
    if (failures >= threshold) log.info({ check: name }, 'health check is good again');
    failures = 0;
  }

  async function look(): Promise<void> {
    const now = performance.now();
    if (runningSince !== undefined) {
      if (now - runningSince >= maxDuration) failed(new Error('the check does not end'));
      return;
    }
    runningSince = now;
    try {
      await check();
      good();
    } catch (error) {
      failed(error);
    } finally {
      runningSince = undefined;
    }
  }

  const timer = setLongInterval(() => void look(), interval);
  return {
    name,
    publicMessage,
    error: () => (failures >= threshold ? last : undefined),
    close: timer.close,
  };
}
