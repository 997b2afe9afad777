import type { PartialUpload } from './partial-upload.ts';

/**
 * Appends a chunk to a partial upload that may have it already. As long as the chunk is what the upload has from `begin` on, it
 * is compared and not written; what goes beyond the upload's end is appended. A chunk that is something else is the next
 * one, of a client that keeps to an older address: all of it is appended.
 */
export class RepeatedChunkWriter implements AsyncDisposable {
  readonly #partial: PartialUpload;
  readonly #assertWanted: () => void;
  readonly #begin: number;
  /** Where the upload ended when the chunk began. */
  readonly #end: number;
  readonly #stored: AsyncGenerator<Buffer>;
  /** What was read of the stored bytes and not compared yet. */
  #piece: Buffer = Buffer.alloc(0);
  /** Bytes of the chunk that were found stored. */
  #equal = 0;
  /** Whether all bytes until now were there already. */
  isRepetition: boolean;

  /** @param assertWanted throws where nobody waits for the bytes any more */
  constructor(partial: PartialUpload, begin: number, assertWanted: () => void) {
    this.#partial = partial;
    this.#assertWanted = assertWanted;
    this.#begin = begin;
    this.#end = partial.size;
    this.#stored = partial.read(begin, this.#end);
    this.isRepetition = begin < this.#end;
  }

  async write(bytes: Buffer): Promise<void> {
    const again = this.isRepetition ? await this.#countStored(bytes) : 0;
    const rest = bytes.subarray(again);
    if (rest.length === 0) return;
    if (this.isRepetition && this.#begin + this.#equal < this.#end) await this.#appendCompared();
    this.isRepetition = false;
    await this.#partial.write(rest);
  }

  /** How many bytes from the first on are those that are stored next. */
  async #countStored(bytes: Buffer): Promise<number> {
    let count = 0;
    while (count < bytes.length && this.#begin + this.#equal < this.#end) {
      if (this.#piece.length === 0) {
        const next = await this.#stored.next();
        if (next.done === true) break;
        this.#piece = next.value;
      }
      const length = Math.min(this.#piece.length, bytes.length - count);
      const expected = this.#piece.subarray(0, length);
      if (!expected.equals(bytes.subarray(count, count + length))) break;
      this.#piece = this.#piece.subarray(length);
      this.#equal += length;
      count += length;
    }
    return count;
  }

  /** What was taken for a repetition was the beginning of something else. */
  async #appendCompared(): Promise<void> {
    const compared = this.#partial.read(this.#begin, this.#begin + this.#equal);
    for await (const bytes of compared) {
      this.#assertWanted();
      await this.#partial.write(bytes);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stored.return(undefined);
  }
}
