import { Writable } from 'node:stream';
import { freePiecesAfter } from '#libs/http/free-pieces.ts';

const KiB = 1024;

/** Bytes that are written at a time: many while few are on their way, few where many upstreams are slow. */
const sizes = { most: 128 * KiB, least: 16 * KiB };
/** Bytes that transfers may have in buffers of the larger kind. */
const plenty = 32 * 1024 * KiB;
/** Buffers of the largest size that are kept for the next transfer. */
const kept = 16;

/** The buffers of all transfers of a process. */
export class BatchBuffers {
  readonly #free: Buffer[] = [];
  #used = 0;

  /** Bytes that transfers have at the moment. */
  get used(): number {
    return this.#used;
  }

  take(): Buffer {
    // Of what is left each takes a part, so that it never runs out: the more have buffers, the smaller is the next.
    const share = Math.floor((plenty - this.#used) / 32);
    const size = Math.max(sizes.least, Math.min(sizes.most, share));
    const known = size === sizes.most ? this.#free.pop() : undefined;
    const buffer = known ?? Buffer.allocUnsafeSlow(size);
    this.#used += buffer.length;
    return buffer;
  }

  /** @param isWritten whether it may be filled again; not where a connection that was closed may still have it */
  release(buffer: Buffer, isWritten: boolean): void {
    this.#used -= buffer.length;
    const isUseful = isWritten && buffer.length === sizes.most && this.#free.length < kept;
    if (isUseful) this.#free.push(buffer);
  }
}

/**
 * Hands the body of a request on in larger pieces than it comes in: TLS has records of 16 KiB, and each write costs a call of
 * the system and wakes up who reads. What came in one turn of the event loop goes out at its end, so that nothing waits for
 * more, and what came while a piece was on its way goes out behind it.
 * Ends when it was handed everything on; the target is its caller's to end.
 */
export class BatchWriter extends Writable {
  readonly #target: Writable;
  readonly #buffers: BatchBuffers;
  /** What the target is to take now. */
  #underWay: Buffer | undefined;
  /** What is being filled meanwhile, and how far. */
  #current: Buffer | undefined;
  #size = 0;
  #flush: NodeJS.Immediate | undefined;
  /** Goes on with what waits for a buffer. */
  #goOn: (() => void) | undefined;

  constructor(target: Writable, buffers: BatchBuffers) {
    // What is written is copied at once, or waits here.
    super({ highWaterMark: 16 * KiB });
    this.#target = target;
    this.#buffers = buffers;
    target.once('close', () => this.#leave());
  }

  /** Whether the target is to take something, before more of the body is. */
  get isBehind(): boolean {
    return this.#underWay !== undefined;
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, done: () => void): void {
    for (let from = 0; from < chunk.length; ) {
      if (this.#size > 0 && this.#size === this.#current?.length) {
        if (this.#underWay !== undefined) {
          const rest = chunk.subarray(from);
          this.#goOn = () => this._write(rest, encoding, done);
          return;
        }
        this.#send();
      }
      this.#current ??= this.#buffers.take();
      const copied = chunk.copy(this.#current, this.#size, from);
      this.#size += copied;
      from += copied;
    }
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
    freePiecesAfter(bytes.length);
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
