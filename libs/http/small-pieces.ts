import type { Readable } from 'node:stream';

/** Bytes of a piece that is worth being kept by itself. */
const smallest = 1024;

/**
 * Pieces after which a client is judged by them, bytes that they should have on average, and milliseconds: who takes
 * longer for so many is slow, and costs little.
 */
const judged = { after: 1000, leastAverage: 64, within: 10_000 } as const;

/**
 * Counts pieces of bodies: chunks of HTTP/1.1, frames of HTTP/2. Each costs time, and until it is read many times what is
 * in it, so that a client that sends next to nothing in each is not served.
 * @param onWasteful called where a thousand within ten seconds carried less than 64 bytes on average
 * @param now milliseconds
 */
export function countPieces(
  onWasteful: () => void,
  now: () => number = () => performance.now(),
): (bytes: number) => void {
  let pieces = 0;
  let size = 0;
  let since = 0;
  return (bytes) => {
    if (pieces === 0) since = now();
    pieces += 1;
    size += bytes;
    if (pieces < judged.after) return;
    const isWasteful = size / pieces < judged.leastAverage && now() - since < judged.within;
    pieces = 0;
    size = 0;
    if (isWasteful) onWasteful();
  };
}

/** Bytes that pieces are joined to: at first, and at most. */
const joined = { least: 1024, most: 16 * 1024 } as const;

/** Joins small pieces of a body that come in one turn of the event loop, so that they are kept as one until they are read. */
export class SmallPieces {
  readonly #body: Readable;
  readonly #push: (chunk: Buffer | null) => boolean;
  #waiting: Buffer | undefined;
  /** Bytes of it that are filled. */
  #size = 0;

  /** @param push gives the body what is to be read of it */
  constructor(body: Readable, push: (chunk: Buffer | null) => boolean) {
    this.#body = body;
    this.#push = push;
  }

  /** @returns whether more may come, as `Readable.push` has it */
  push(chunk: Buffer | null): boolean {
    if (chunk === null || chunk.length >= smallest) {
      this.#flush();
      return this.#push(chunk);
    }
    this.#append(chunk);
    return this.#body.readableLength + this.#size < this.#body.readableHighWaterMark;
  }

  /** Copied at once: what a piece costs by itself is not kept even until the end of the turn. */
  #append(chunk: Buffer): void {
    if (this.#waiting === undefined) {
      this.#waiting = Buffer.allocUnsafe(joined.least);
      setImmediate(() => this.#flush());
    }
    if (this.#size + chunk.length > this.#waiting.length) {
      if (this.#waiting.length >= joined.most) {
        this.#flush();
        this.#append(chunk);
        return;
      }
      const larger = Buffer.allocUnsafe(2 * this.#waiting.length);
      this.#waiting.copy(larger, 0, 0, this.#size);
      this.#waiting = larger;
    }
    this.#size += chunk.copy(this.#waiting, this.#size);
  }

  #flush(): void {
    const whole = this.#waiting?.subarray(0, this.#size);
    this.#waiting = undefined;
    this.#size = 0;
    if (whole !== undefined && whole.length > 0 && !this.#body.destroyed) this.#push(whole);
  }
}
