import type { FileHandle } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { freePiece } from '#libs/bodies/free-piece.ts';
import type { PieceBuffers } from '#libs/bodies/piece-buffers.ts';
import type { WrittenFile } from '#libs/files/file-to-write.ts';
import { hasAllCome } from '#libs/http/body.ts';
import { type DigestAlgorithm, Digester } from '#libs/oci/digest.ts';

/** Bytes written between two syncs, so that the last one is short. */
const syncEvery = 64 * 1024 * 1024;
/** Milliseconds without a byte after which what came is written, and buffers are given back. */
const idleAfter = 1000;

/**
 * Writes the body of a request to a file that is empty, and hashes it: a piece is written while the next one comes.
 *
 *     reading ──the body ends, or breaks off, or stop()──▶ finishing ──synced, closed──▶ over
 *        └──────────a write fails, or abandon()───────────────┴──────────closed────────▶ over
 */
export class BodyFileWriter {
  readonly #request: IncomingMessage;
  readonly #handle: FileHandle;
  readonly #digester: Digester;
  readonly #buffers: PieceBuffers;
  readonly #over = Promise.withResolvers<WrittenFile>();
  /** What is being filled, and how far. */
  #filling: Buffer | undefined;
  #filled = 0;
  /** What was written last, for the next piece. */
  #spare: Buffer | undefined;
  #isWriting = false;
  /** What came while both were full, and how much of it was taken; no more is read before the rest is. */
  #waiting: { chunk: Buffer; from: number } | undefined;
  /** Bytes written. */
  #size = 0;
  #unsynced = 0;
  #state: 'reading' | 'finishing' | 'over' = 'reading';
  #isWhole = false;
  /** Bytes that had come when the clock ticked last. */
  #seen = 0;
  #received = 0;
  readonly #clock: NodeJS.Timeout;

  /** @param handle closed when this is over, whatever happens */
  constructor(
    request: IncomingMessage,
    handle: FileHandle,
    { algorithm, buffers }: { algorithm: DigestAlgorithm; buffers: PieceBuffers },
  ) {
    this.#request = request;
    this.#handle = handle;
    this.#digester = new Digester(algorithm);
    this.#buffers = buffers;
    this.#clock = setInterval(() => this.#tick(), idleAfter).unref();
  }

  /** Reads the body until it ends. @returns when the file is closed */
  async run(): Promise<WrittenFile> {
    const request = this.#request;
    if (this.#state !== 'reading') return await this.#over.promise;
    request.on('data', this.#take).once('end', this.#end);
    request.once('aborted', this.#close).once('close', this.#close);
    // One that is gone says nothing more.
    if (request.destroyed || request.closed) this.stop();
    else request.resume();
    return await this.#over.promise;
  }

  /** Whether the storage is behind: no more of the body is read before it has taken something. */
  get isBehind(): boolean {
    return this.#waiting !== undefined || this.#state !== 'reading';
  }

  /** Takes no more: what has come is all. */
  stop(): void {
    if (this.#state !== 'reading') return;
    this.#state = 'finishing';
    this.#waiting = undefined;
    this.#leave();
    this.#goOn();
  }

  /** Nobody wants the report. */
  readonly abandon = (): void => {
    this.#fail(new Error('nobody waits for the body any more'));
  };

  readonly #take = (chunk: Buffer): void => {
    this.#received += chunk.length;
    this.#put(chunk, 0);
  };

  readonly #end = (): void => {
    if (this.#state !== 'reading') return;
    this.#isWhole = hasAllCome(this.#request);
    this.#state = 'finishing';
    this.#leave();
    this.#goOn();
  };

  readonly #close = (): void => this.stop();

  #put(chunk: Buffer, start: number): void {
    for (let from = start; from < chunk.length; ) {
      this.#filling ??= this.#takeBuffer();
      if (this.#filled === this.#filling.length) {
        if (this.#isWriting) {
          this.#waiting = { chunk, from };
          this.#request.pause();
          return;
        }
        this.#write();
        continue;
      }
      const copied = chunk.copy(this.#filling, this.#filled, from);
      this.#filled += copied;
      from += copied;
    }
    freePiece(chunk, this.#request);
    if (this.#filled === this.#filling?.length && !this.#isWriting) this.#write();
  }

  #takeBuffer(): Buffer {
    const spare = this.#spare;
    this.#spare = undefined;
    return spare ?? this.#buffers.take();
  }

  /** Writes what has come, and hashes it meanwhile. */
  #write(): void {
    const buffer = this.#filling as Buffer;
    const piece = buffer.subarray(0, this.#filled);
    this.#filling = undefined;
    this.#filled = 0;
    this.#isWriting = true;
    void this.#writeWhole(piece).then(
      () => this.#onWritten(buffer),
      (error: Error) => this.#onWritten(buffer, error),
    );
    this.#digester.update(piece);
  }

  async #writeWhole(piece: Buffer): Promise<void> {
    for (let from = 0; from < piece.length; ) {
      const { bytesWritten } = await this.#handle.write(
        piece,
        from,
        piece.length - from,
        this.#size,
      );
      from += bytesWritten;
      this.#size += bytesWritten;
    }
    this.#unsynced += piece.length;
    if (this.#unsynced < syncEvery) return;
    this.#unsynced = 0;
    await this.#handle.datasync();
  }

  #onWritten(buffer: Buffer, error?: Error): void {
    this.#isWriting = false;
    if (this.#spare === undefined && this.#state !== 'over') this.#spare = buffer;
    else this.#buffers.release(buffer, true);
    if (this.#state === 'over') void this.#closeFile();
    else if (error !== undefined) this.#fail(error);
    else this.#goOn();
  }

  /** Something was written, or nothing more comes. */
  #goOn(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting !== undefined) {
      this.#put(waiting.chunk, waiting.from);
      if (this.#waiting === undefined && this.#state === 'reading') this.#request.resume();
    }
    if (this.#state !== 'finishing' || this.#isWriting) return;
    if (this.#filled > 0) this.#write();
    else void this.#finish();
  }

  async #finish(): Promise<void> {
    try {
      await this.#handle.datasync();
    } catch (error) {
      this.#fail(error as Error);
      return;
    }
    if (this.#isOver) return;
    this.#state = 'over';
    this.#giveBack();
    try {
      // Some systems tell only here of bytes that they could not write.
      await this.#handle.close();
      const digest = this.#digester.digest();
      this.#over.resolve({ kind: 'closed', size: this.#size, digest, isWhole: this.#isWhole });
    } catch (error) {
      this.#over.resolve(failure(error as Error));
    }
  }

  /** Since a promise may end while another one is awaited. */
  get #isOver(): boolean {
    return this.#state === 'over';
  }

  #fail(error: Error): void {
    if (this.#isOver) return;
    this.#state = 'over';
    this.#waiting = undefined;
    this.#leave();
    this.#giveBack();
    const report = () => this.#over.resolve(failure(error));
    // A write that is under way closes the file behind itself; it was not the one that failed, so that nobody waits.
    if (this.#isWriting) report();
    else void this.#closeFile().then(report);
  }

  async #closeFile(): Promise<void> {
    await this.#handle.close().catch(() => {});
  }

  #leave(): void {
    clearInterval(this.#clock);
    this.#request.off('data', this.#take).off('end', this.#end);
    this.#request.off('aborted', this.#close).off('close', this.#close);
    this.#request.pause();
  }

  #giveBack(): void {
    if (this.#filling !== undefined) this.#buffers.release(this.#filling, true);
    if (this.#spare !== undefined) this.#buffers.release(this.#spare, true);
    this.#filling = undefined;
    this.#spare = undefined;
    this.#filled = 0;
  }

  #tick(): void {
    const hasMoved = this.#seen !== this.#received;
    this.#seen = this.#received;
    if (hasMoved || this.#isWriting || this.#state !== 'reading') return;
    if (this.#filled > 0) this.#write();
    else this.#giveBack();
  }
}

function failure(error: Error): WrittenFile {
  const { code = '', message } = error as NodeJS.ErrnoException;
  return { kind: 'failed', code, message };
}
