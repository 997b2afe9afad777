import type { Logger } from '#libs/log/logger.ts';
import type { Counter, Metrics } from '#libs/metrics/metrics.ts';

/** `portcullis_unexpected_rejections_total`. */
export function countRejections(metrics: Metrics | undefined): Counter | undefined {
  return metrics?.counter(
    'portcullis_unexpected_rejections_total',
    'Promises that were rejected while nobody waited for them: mistakes in the program',
  );
}

/**
 * A promise that is rejected while nobody waits for it is a mistake of ours, and mostly one about a peer that broke off.
 * What nobody waits for holds up nobody: it is written down and counted, and the process goes on. An exception that
 * nobody caught has left something half done, and ends the process.
 */
export function surviveRejections(log: Logger, counter?: Counter | undefined): void {
  process.on('unhandledRejection', (error) => {
    counter?.inc();
    log.error(
      { err: error },
      'unexpected: a rejection that nobody waited for; the process goes on',
    );
  });
}
