import {
  constants,
  Http2ServerRequest,
  Http2ServerResponse,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import type { ReadableOptions } from 'node:stream';
import { SmallPieces } from './small-pieces.ts';

/** Headers that HTTP/2 has no place for (RFC 9113 section 8.2.2). */
const connectionSpecific: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);

/** Methods for which a body that is not there is announced as such. */
const bodyMethods: ReadonlySet<string> = new Set(['POST', 'PUT', 'PATCH']);

/**
 * The headers as an HTTP/1.1 parser would have given them: `:authority` is the Host, whatever else calls
 * itself so; other pseudo-headers are gone; and where the body has no length it is chunked, so that every
 * later look at the framing, ours and the upstream's, sees the same body.
 * @param ended no body follows
 */
export function plainHeaders(headers: IncomingHttpHeaders, ended: boolean): IncomingHttpHeaders {
  const plain: IncomingHttpHeaders = {};
  for (const [name, value] of Object.entries(headers)) {
    if (!name.startsWith(':') && !connectionSpecific.has(name)) plain[name] = value;
  }
  const authority = headers[':authority'];
  if (authority !== undefined) plain.host = authority;
  if (!ended && plain['content-length'] === undefined) plain['transfer-encoding'] = 'chunked';
  if (ended && bodyMethods.has(headers[':method'] ?? '')) plain['content-length'] = '0';
  return plain;
}

/** Those who wait for the answer to a PING, by session; one is on its way for all of them. */
const awaitingPing = new WeakMap<Http2Session, (() => void)[]>();

/**
 * Calls back when the client has answered a PING: then everything is out that waited for the connection
 * when it was sent. Never, if it does not answer.
 */
function afterPing(session: Http2Session, action: () => void): void {
  const waiting = awaitingPing.get(session);
  if (waiting !== undefined) {
    waiting.push(action);
    return;
  }
  awaitingPing.set(session, [action]);
  const done = (error: Error | null) => {
    const actions = awaitingPing.get(session) ?? [];
    awaitingPing.delete(session);
    if (error === null) for (const one of actions) one();
  };
  if (session.destroyed || !session.ping(done)) awaitingPing.delete(session);
}

/** Milliseconds, and bytes a second, in which a client has to take an answer that is complete. */
const usualTaking = { time: 60_000, rate: 4096 } as const;

/** A request of HTTP/2 for code written for HTTP/1.1. */
export class Http2Request extends Http2ServerRequest {
  override readonly headers: IncomingHttpHeaders;
  override url: string;
  override method: string;
  /** Bytes of the body that came and were read. */
  received = 0;
  readonly #pieces = new SmallPieces(this, (chunk) => super.push(chunk));

  constructor(
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    options: ReadableOptions,
    rawHeaders: readonly string[],
  ) {
    super(stream, headers, options, rawHeaders);
    this.headers = plainHeaders(headers, stream.endAfterHeaders);
    this.url = headers[':path'] ?? '/';
    this.method = headers[':method'] ?? '';
  }

  override push(chunk: Buffer | null): boolean {
    this.received += chunk?.length ?? 0;
    return this.#pieces.push(chunk);
  }
}

/** A response of HTTP/2 for code written for HTTP/1.1: what is said of the connection is not sent. */
export class Http2Response extends Http2ServerResponse<Http2Request> {
  /** True as soon as there is nobody to answer any more. */
  override closed = false;
  /** True once the whole answer is with the client; settled when the stream is over. */
  override writableFinished = false;
  /** Milliseconds from its end in which the client has to take it; however slowly it does, what is untaken keeps memory. */
  takenWithin: number | undefined;
  #written = 0;

  constructor(stream: ServerHttp2Stream) {
    super(stream);
    let told = false;
    this.once('close', () => {
      told = true;
    });
    stream.once('aborted', () => {
      this.closed = true;
    });
    stream.prependOnceListener('close', () => {
      this.closed = true;
      this.writableFinished = this.writableEnded && !stream.aborted && stream.rstCode === 0;
    });
    // Node's own says nothing of a HEAD that is cancelled before its answer.
    stream.once('close', () => {
      if (!told) this.emit('close');
    });
  }

  /** Bytes that left for the client. */
  get taken(): number {
    return this.#written - this.untaken;
  }

  /** Bytes that wait for the client, or for the connection. */
  get untaken(): number {
    return this.stream.bufferSize;
  }

  override setHeader(name: string, value: number | string | readonly string[]): void {
    if (!connectionSpecific.has(name.toLowerCase())) super.setHeader(name, value);
  }

  override write(chunk: string | Uint8Array, ...rest: unknown[]): boolean {
    this.#written += Buffer.byteLength(chunk);
    return super.write(chunk, ...(rest as []));
  }

  override end(...args: unknown[]): this {
    super.end(...(args as []));
    if (this.closed) return this;
    const { time, rate } = usualTaking;
    const allowed = this.takenWithin ?? time + (1000 * this.untaken) / rate;
    const timer = setTimeout(() => this.reset(constants.NGHTTP2_CANCEL), allowed).unref();
    this.stream.once('close', () => clearTimeout(timer));
    return this;
  }

  /** Breaks the answer off, so that the client cannot take it for whole. */
  override destroy(): this {
    this.reset(constants.NGHTTP2_INTERNAL_ERROR);
    return this;
  }

  /** Ends the stream at once, whatever was still to be sent. */
  reset(code: number): void {
    const { stream } = this;
    if (stream.destroyed) return;
    stream.close(code);
    // A client that takes nothing does not take the RST_STREAM either, and waits for no one here.
    stream.destroy();
  }

  /**
   * Ends an answer whose request is still being sent, and asks the client to stop sending (RFC 9113
   * section 8.1). What it sent until then is thrown away; the connection stays. A client that does not take
   * the answer is let go when its stream stands still for too long.
   */
  endEarly(): void {
    const { stream } = this;
    const stop = () => {
      const { session, state } = stream;
      if (stream.closed || stream.destroyed) return;
      // A reset before the end of the answer is out would cut it off.
      if (state.localClose === 1) stream.close(constants.NGHTTP2_NO_ERROR);
      else if (session !== undefined) afterPing(session, stop);
    };
    // Emitted when the client's window has let the last byte through; the end follows it, as soon as the
    // connection takes it.
    stream.once('wantTrailers', () => setImmediate(stop));
    this.end();
    this.req.resume();
    setImmediate(() => {
      // An answer without a body ended with its headers.
      if (stream.state.localClose === 1) stop();
    });
  }
}
