import { IncomingMessage, ServerResponse } from './node-http.ts';
import { countPieces, SmallPieces } from './small-pieces.ts';

/** A request of HTTP/1.1 that counts its body. */
export class Http1Request extends IncomingMessage {
  /** Bytes of the body that came and were read. */
  received = 0;
  readonly #pieces = new SmallPieces(this, (chunk) => super.push(chunk));

  #isWasteful = false;
  readonly #count = countPieces(() => {
    this.#isWasteful = true;
    this.socket.destroy();
  });

  override push(chunk: Buffer | null): boolean {
    this.received += chunk?.length ?? 0;
    if (chunk !== null) this.#count(chunk.length);
    // The parser goes on to the end of what was read; what is left out must not seem whole, so that it has no end either.
    if (this.#isWasteful) return false;
    return this.#pieces.push(chunk);
  }
}

/** A response of HTTP/1.1 that counts its body. */
export class Http1Response<
  Request extends IncomingMessage = IncomingMessage,
> extends ServerResponse<Request> {
  /** Bytes that were handed to the connection. */
  written = 0;

  override write(chunk: string | Uint8Array, ...rest: unknown[]): boolean {
    this.written += Buffer.byteLength(chunk);
    return super.write(chunk, ...(rest as []));
  }

  override end(...args: unknown[]): this {
    const [chunk] = args;
    if (typeof chunk === 'string' || chunk instanceof Uint8Array) {
      this.written += Buffer.byteLength(chunk);
    }
    return super.end(...(args as []));
  }
}
