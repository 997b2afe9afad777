import type { Writable } from 'node:stream';

/** Bytes that wait for a reader who is slow, or does not read at all; what is beyond is lost, and said. */
const maxWaiting = 4 * 1024 * 1024;
/** Milliseconds until an output that failed is tried again. */
const retryAfter = 1000;

/** Where lines go, whatever becomes of it. */
export interface LineOutput {
  /** Never throws and never waits. */
  write(line: string): void;
}

export interface LineOutputOptions {
  /** The line that tells of lines that were lost. */
  describeLoss: (lines: number) => string;
  /** Milliseconds of a clock that never goes back. */
  now?: () => number;
}

/**
 * Writes lines to a standard stream. A pipe that nobody reads keeps what fits into a bound; one that was closed gets
 * nothing any more; a file on a full disk is tried again. No reader of a log ends or holds up who writes it.
 */
export function createLineOutput(
  stream: Writable,
  { describeLoss, now = () => performance.now() }: LineOutputOptions,
): LineOutput {
  let lost = 0;
  let closed = false;
  let failedAt = Number.NEGATIVE_INFINITY;

  surviveErrors(stream);
  stream.on('error', ({ code }: NodeJS.ErrnoException) => {
    // Its reader is gone, and no other can come.
    if (code === 'EPIPE' || code === 'ECONNRESET') closed = true;
    failedAt = now();
  });

  /** @param lines how many are lost if this cannot be written */
  function put(text: string, lines: number): void {
    stream.write(text, (error) => {
      if (error) lost += lines;
    });
  }

  return {
    write(line) {
      if (closed) return;
      if (now() - failedAt < retryAfter || stream.writableLength > maxWaiting) {
        lost += 1;
        return;
      }
      if (lost > 0) {
        const lines = lost;
        lost = 0;
        put(describeLoss(lines), lines);
      }
      put(line, 1);
    },
  };
}

const surviving = new WeakSet<Writable>();

/** An error of this stream, as of a pipe whose reader is gone, ends nothing. */
export function surviveErrors(stream: Writable): void {
  if (surviving.has(stream)) return;
  surviving.add(stream);
  stream.on('error', () => {});
}
