import type { ServerResponse } from 'node:http';
import { Http2Response } from '#libs/http/http2-messages.ts';

const KiB = 1024;

/** Bytes that a response is given at a time. */
const sizes = { first: 64 * KiB, most: 256 * KiB, least: 16 * KiB };
/** The same over HTTP/2, where the first bytes are taken at once by whoever is slow as well, in the window of its stream. */
const mostOfStream = 64 * KiB;
/** Milliseconds in which a piece is taken by whoever takes a larger one soon enough as well. */
const fast = 500;

/**
 * How much of a body a response is given at a time: that its client takes something shows when all of a piece is gone. So
 * clients that are slow get little at a time, and are seen to go on, where fast ones get much.
 */
export class WritePace {
  #size = sizes.first;
  readonly #most: number;

  constructor(response?: ServerResponse) {
    this.#most = response instanceof Http2Response ? mostOfStream : sizes.most;
  }

  /** Bytes to be written next. */
  get size(): number {
    return this.#size;
  }

  /** A piece is on its way. @returns to be called when it is gone */
  begin(now: () => number = () => performance.now()): () => void {
    const since = now();
    return () => {
      const isFast = now() - since <= fast;
      this.#size = isFast ? Math.min(2 * this.#size, this.#most) : sizes.least;
    };
  }
}
