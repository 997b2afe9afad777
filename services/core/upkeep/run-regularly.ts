import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '#libs/log/logger.ts';
import { setLongInterval } from '../long-interval.ts';
import type { LeaderLease } from './leader-lease.ts';

/** Milliseconds that a stop waits for what runs: it may hang in its storage. */
const longestEnd = 2000;

export interface RegularWork {
  /** Milliseconds between two times. */
  interval: number;
  /** Whether the first time is now, and not after the interval. */
  now?: boolean;
  /** What one core does for all. */
  lease: LeaderLease;
  log: Logger;
  /** What was not done, for the log: `garbage could not be collected`. */
  failure: string;
  /** Called when it failed, but for a stop. */
  onFailure?: () => void;
  /** @param signal aborted when the process stops: the work ends then, as soon as it can */
  work(signal: AbortSignal): Promise<void>;
}

/** Waits for work that was told to end, unless it hangs. */
export async function endOf(running: Promise<void> | undefined): Promise<void> {
  await Promise.race([running, sleep(longestEnd, undefined, { ref: false })]);
}

/** Something that goes on until it is closed. */
export interface Upkeep {
  /** Resolves when nothing of it runs any more, or what does hangs. */
  close(): Promise<void>;
}

/** Does something every interval, on the leader, and never twice at a time. A failure is no end of it. */
export function runRegularly(options: RegularWork): Upkeep {
  const { interval, now = false, lease, log, failure, onFailure = () => {}, work } = options;
  const stopping = new AbortController();
  let running: Promise<void> | undefined;

  async function attempt(): Promise<void> {
    try {
      if (await lease.isLeader()) await work(stopping.signal);
    } catch (error) {
      if (stopping.signal.aborted) return;
      onFailure();
      log.warn({ err: error }, failure);
    }
  }

  const start = () => {
    running ??= attempt().finally(() => {
      running = undefined;
    });
  };
  if (now) start();
  const timer = setLongInterval(start, interval);
  return {
    async close() {
      timer.close();
      stopping.abort(new Error('the process stops'));
      await endOf(running);
    },
  };
}
