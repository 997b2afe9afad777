import { type Readable, Writable } from 'node:stream';
import { freePiece } from '#libs/bodies/free-piece.ts';
import type { PieceBuffers } from '#libs/bodies/piece-buffers.ts';

/**
 * Hands the body of a request on in larger pieces than it comes in: TLS has records of 16 KiB, and each write costs a call of
 * the system and wakes up who reads. What came in one turn of the event loop goes out at its end, so that nothing waits for
 * more, and what came while a piece was on its way goes out behind it.
 * Ends when it was handed everything on; the target is its caller's to end.
 */
export class BatchWriter extends Writable {
  readonly #body: Readable;
  readonly #target: Writable;
  readonly #buffers: PieceBuffers;
  /** What the target is to take now. */
  #underWay: Buffer | undefined;
  /** What is being filled meanwhile, and how far. */
  #current: Buffer | undefined;
  #size = 0;
  #flush: NodeJS.Immediate | undefined;
  /** Goes on with what waits for a buffer. */
  #goOn: (() => void) | undefined;

  /** @param body whose pieces are written to this, and freed */
  constructor(body: Readable, target: Writable, buffers: PieceBuffers) {
    // What is written is copied at once, or waits here.
    super({ highWaterMark: 16 * 1024 });
    this.#body = body;
    this.#target = target;
    this.#buffers = buffers;
    target.once('close', () => this.#leave());
  }

  /** Whether the target is to take something, before more of the body is. */
  get isBehind(): boolean {
    return this.#underWay !== undefined;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#put(chunk, 0, done);
  }

  #put(chunk: Buffer, from: number, done: () => void): void {
    while (from < chunk.length) {
      if (this.#size > 0 && this.#size === this.#current?.length) {
        if (this.#underWay !== undefined) {
          this.#goOn = () => this.#put(chunk, from, done);
          return;
        }
        this.#send();
      }
      this.#current ??= this.#buffers.take();
      const copied = chunk.copy(this.#current, this.#size, from);
      this.#size += copied;
      from += copied;
    }
    freePiece(chunk, this.#body);
    if (this.#underWay === undefined) this.#flush ??= setImmediate(() => this.#send());
    done();
  }

  override _final(done: () => void): void {
    if (this.#underWay === undefined || this.#current === undefined) {
      this.#send();
      done();
    } else {
      this.#goOn = () => this._final(done);
    }
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#leave();
    done(error);
  }

  #send(): void {
    this.#cancelFlush();
    const buffer = this.#current;
    if (buffer === undefined) return;
    const bytes = buffer.subarray(0, this.#size);
    this.#current = undefined;
    this.#size = 0;
    this.#underWay = buffer;
    this.#target.write(bytes, (error) => {
      // Released already where the target was closed.
      if (this.#underWay !== buffer) return;
      this.#underWay = undefined;
      this.#buffers.release(buffer, error == null);
      this.#continue();
    });
  }

  /** The target has taken something: what came meanwhile is next. */
  #continue(): void {
    const goOn = this.#goOn;
    this.#goOn = undefined;
    if (goOn !== undefined) goOn();
    else this.#send();
  }

  #cancelFlush(): void {
    if (this.#flush !== undefined) clearImmediate(this.#flush);
    this.#flush = undefined;
  }

  /** The target takes nothing more, and does not say so of what it was given. */
  #leave(): void {
    this.#cancelFlush();
    if (this.#underWay !== undefined) this.#buffers.release(this.#underWay, false);
    this.#underWay = undefined;
    if (this.#current !== undefined) this.#buffers.release(this.#current, true);
    this.#current = undefined;
    this.#size = 0;
    this.#goOn = undefined;
    if (!this.destroyed) this.destroy();
  }
}
