import type { Readable } from 'node:stream';
import { freePiece } from './free-piece.ts';
import type { PieceBuffers } from './piece-buffers.ts';

/**
 * The bytes of a stream, in pieces as large as they have become by the time that one is asked for: while one is used, what
 * comes is gathered for the next. A piece may be used until the next one is asked for. Unlike the stream's own iterator this one can be left
 * while the next piece is still awaited, and leaving it does not destroy the stream.
 * @param signal ends the iteration early, without an error
 * @throws Error if the stream fails or closes before its end, behind what came before
 */
export async function* piecesOf(
  stream: Readable,
  signal: AbortSignal,
  buffers: PieceBuffers,
): AsyncGenerator<Buffer> {
  let failure: Error | undefined;
  let ended = stream.readableEnded;
  let wake = () => {};
  let filling: Buffer | undefined;
  let filled = 0;
  /** What came while that was full, and how much of it was taken: no more is read before the rest has gone. */
  let waiting: { chunk: Buffer; from: number } | undefined;
  /** The last piece's. */
  let used: Buffer | undefined;

  function put(chunk: Buffer, from: number): void {
    filling ??= buffers.take();
    const copied = chunk.copy(filling, filled, from);
    filled += copied;
    if (from + copied < chunk.length) {
      waiting = { chunk, from: from + copied };
      stream.pause();
    } else {
      waiting = undefined;
      freePiece(chunk, stream);
    }
  }
  const onData = (chunk: Buffer) => {
    put(chunk, 0);
    wake();
  };
  const onWake = () => wake();
  const onEnd = () => {
    ended = true;
    wake();
  };
  const onError = (error: Error) => {
    failure = error;
    wake();
  };
  stream.on('end', onEnd).on('close', onWake).on('error', onError).on('data', onData);
  signal.addEventListener('abort', onWake);
  // Whoever left it before has paused it.
  stream.resume();
  try {
    while (!signal.aborted) {
      if (filling !== undefined && filled > 0) {
        const piece = filling.subarray(0, filled);
        const next = used;
        used = filling;
        filling = next;
        filled = 0;
        if (waiting !== undefined) {
          put(waiting.chunk, waiting.from);
          if (waiting === undefined) stream.resume();
        }
        yield piece;
        continue;
      }
      if (failure !== undefined) throw failure;
      if (ended) return;
      if (stream.destroyed) throw new Error('the stream closed before its end');
      // Who waits long needs no memory for that.
      for (const buffer of [filling, used]) if (buffer !== undefined) buffers.release(buffer, true);
      filling = undefined;
      used = undefined;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    stream.off('data', onData).off('end', onEnd).off('close', onWake);
    stream.pause();
    signal.removeEventListener('abort', onWake);
    for (const buffer of [filling, used]) if (buffer !== undefined) buffers.release(buffer, true);
    // The error listener stays: a stream that fails after we left must not end the process.
  }
}
