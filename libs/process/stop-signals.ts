import { setTimeout as sleep } from 'node:timers/promises';
import type { Readiness } from '#libs/http/readiness.ts';
import type { Logger } from '#libs/log/logger.ts';
import { isSupervised, type SupervisorMessage } from './supervisor-channel.ts';

export interface StopOptions {
  /** Milliseconds between SIGTERM and the stop, in which it goes on and says that it is not ready. */
  delay: number;
  readiness: Readiness;
  log: Logger;
  /** Stops accepting, lets what runs end, and lets go of everything. */
  stop(): Promise<void>;
  /** Resolves with the reason when it cannot go on; then it stops with exit code 1. */
  cannotGoOn?: Promise<string> | undefined;
}

/**
 * Stops this process when it is told to. Alone: on SIGTERM after the delay, on SIGINT, which is Ctrl-C, at once; a
 * second signal ends it as it is. Under a supervisor it does what that says, in the order that keeps requests whole: a
 * signal that reaches all processes of a service manager's group is the supervisor's to act on.
 */
export function listenForStop({ delay, readiness, log, stop, cannotGoOn }: StopOptions): void {
  let stopping = false;
  const begin = async (why: string, wait: number, exitCode = 0) => {
    stopping = true;
    log.info({ why }, 'stopping');
    readiness.startDraining();
    await sleep(wait);
    try {
      await stop();
    } catch (error) {
      log.error({ err: error }, 'the stop failed; the process ends all the same');
      process.exit(exitCode || 1);
    }
    process.exit(exitCode);
  };
  void cannotGoOn?.then((reason) => {
    if (stopping) return;
    log.error(reason);
    void begin('it cannot go on', 0, 1);
  });
  const once = (why: string, wait: number) => {
    if (!stopping) void begin(why, wait);
  };
  const supervised = isSupervised();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (supervised) return;
      // Whoever asks twice means now.
      if (stopping) process.exit(1);
      once(signal, signal === 'SIGTERM' ? delay : 0);
    });
  }
  if (!supervised) return;
  process.on('message', ({ type }: SupervisorMessage) => {
    if (type === 'drain') readiness.startDraining();
    else if (type === 'stop') once('the supervisor says so', 0);
  });
  process.on('disconnect', () => once('the supervisor is gone', 0));
}
