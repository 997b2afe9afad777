import type { Readable } from 'node:stream';

/** Bytes of a piece that is worth being kept by itself. */
const smallest = 1024;

/** Pieces after which a client is judged by them, and bytes that they should have on average. */
const judged = { after: 10_000, leastAverage: 64 } as const;

/**
 * Counts pieces of bodies: chunks of HTTP/1.1, frames of HTTP/2. Each costs time, and until it is read many times what is
 * in it, so that a client that sends next to nothing in each is not served.
 * @param onWasteful called where the last ten thousand carried less than 64 bytes on average
 */
export function countPieces(onWasteful: () => void): (bytes: number) => void {
  let pieces = 0;
  let size = 0;
  return (bytes) => {
    pieces += 1;
    size += bytes;
    if (pieces < judged.after) return;
    const average = size / pieces;
    pieces = 0;
    size = 0;
    if (average < judged.leastAverage) onWasteful();
  };
}

/** Joins small pieces of a body that come in one turn of the event loop, so that they are kept as one until they are read. */
export class SmallPieces {
  readonly #body: Readable;
  readonly #push: (chunk: Buffer | null) => boolean;
  #waiting: Buffer[] = [];
  #size = 0;

  /** @param push gives the body what is to be read of it */
  constructor(body: Readable, push: (chunk: Buffer | null) => boolean) {
    this.#body = body;
    this.#push = push;
  }

  /** @returns whether more may come, as `Readable.push` has it */
  push(chunk: Buffer | null): boolean {
    if (chunk !== null && chunk.length < smallest) {
      if (this.#waiting.length === 0) setImmediate(() => this.#flush());
      this.#waiting.push(chunk);
      this.#size += chunk.length;
      return this.#body.readableLength + this.#size < this.#body.readableHighWaterMark;
    }
    this.#flush();
    return this.#push(chunk);
  }

  #flush(): void {
    if (this.#waiting.length === 0) return;
    const joined = Buffer.concat(this.#waiting, this.#size);
    this.#waiting = [];
    this.#size = 0;
    if (!this.#body.destroyed) this.#push(joined);
  }
}
