import type { ServerResponse } from 'node:http';
import type { ReadableFile } from '#libs/files/readable-file.ts';
import type { ByteRange } from '#libs/http/byte-ranges.ts';
import { ClientGoneError } from '#libs/http/client-gone.ts';
import { WritePace } from './write-pace.ts';

/** Sends parts of a file: each piece is read while the one before it is on its way, in two buffers that are used in turn. */
export class FileSender {
  readonly #handle: ReadableFile;
  readonly #response: ServerResponse;
  readonly #pieceSize: number;
  readonly #buffers: Buffer[] = [];
  readonly #pace: WritePace;
  #turn = 0;
  #sent: Promise<void> = Promise.resolve();
  /** Ends the wait for the connection, which says nothing more of what it was given once it is closed. */
  #leave: (() => void) | undefined;

  /** @param pieceSize bytes to be read at a time; twice as many are in memory */
  constructor(handle: ReadableFile, response: ServerResponse, pieceSize: number) {
    this.#handle = handle;
    this.#response = response;
    this.#pace = new WritePace(response);
    this.#pieceSize = pieceSize;
    response.once('close', () => this.#leave?.());
  }

  /**
   * Sends a range; when this resolves the last piece of it may still be on its way.
   * @throws Error if the file does not go so far or cannot be read; ClientGoneError
   */
  async sendRange({ start, end }: ByteRange): Promise<void> {
    for (let position = start; position <= end; ) {
      const length = Math.min(this.#pieceSize, end - position + 1);
      const buffer = this.#nextBuffer(length);
      const { bytesRead } = await this.#handle.read(buffer, 0, length, position);
      if (bytesRead === 0) throw new Error(`the file ends at byte ${position}`);
      await this.sendBytes(buffer.subarray(0, bytesRead));
      position += bytesRead;
    }
  }

  /** Sends these when all before them is with the connection. @throws ClientGoneError */
  async sendBytes(bytes: Buffer): Promise<void> {
    await this.#sent;
    this.#sent = this.#write(bytes);
    // Whoever sends more, or finishes, is told.
    this.#sent.catch(() => {});
  }

  /** Resolves when everything is with the connection. @throws ClientGoneError */
  async finish(): Promise<void> {
    await this.#sent;
  }

  /** One of two: what was in it is with the connection, since the other one is on its way. */
  #nextBuffer(length: number): Buffer {
    this.#turn = 1 - this.#turn;
    const known = this.#buffers[this.#turn];
    if (known !== undefined && known.length >= length) return known;
    const buffer = Buffer.allocUnsafeSlow(length);
    this.#buffers[this.#turn] = buffer;
    return buffer;
  }

  async #write(bytes: Buffer): Promise<void> {
    for (let from = 0; from < bytes.length; ) {
      if (this.#response.closed || this.#response.destroyed) throw new ClientGoneError();
      const piece = bytes.subarray(from, from + this.#pace.size);
      const written = this.#pace.begin();
      await new Promise<void>((resolve, reject) => {
        this.#leave = () => reject(new ClientGoneError());
        this.#response.write(piece, () => resolve());
      });
      written();
      from += piece.length;
    }
  }
}
