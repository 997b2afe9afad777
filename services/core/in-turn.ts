import { setImmediate as nextLoopTurn, setTimeout as sleep } from 'node:timers/promises';

/** Bytes of JSON from which on parsing takes long enough for others to notice. */
const large = 64 * 1024;

let last: Promise<void> = Promise.resolve();

/**
 * Does what keeps the event loop busy for a while: one at a time, and before the next the loop is everybody else's for
 * as long as it took.
 * @throws what the work throws; what the signal was aborted with before it began
 */
export async function inTurn<T>(work: () => T, signal?: AbortSignal): Promise<T> {
  const before = last;
  const done = Promise.withResolvers<void>();
  last = done.promise;
  await before;
  await nextLoopTurn();
  const startedAt = performance.now();
  try {
    signal?.throwIfAborted();
    return work();
  } finally {
    const took = performance.now() - startedAt;
    // Work that was not wanted any more took nothing.
    if (took < 1) done.resolve();
    else void sleep(took).then(done.resolve);
  }
}

/**
 * Parses JSON: in turn where it is large, at once where it is not.
 * @throws what `parse` throws; what the signal was aborted with before it began
 */
export async function parseInTurn<T>(
  bytes: Buffer,
  parse: (bytes: Buffer) => T,
  signal?: AbortSignal,
): Promise<T> {
  if (bytes.length > large) return await inTurn(() => parse(bytes), signal);
  signal?.throwIfAborted();
  return parse(bytes);
}
