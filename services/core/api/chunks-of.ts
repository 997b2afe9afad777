import type { Readable } from 'node:stream';

/**
 * The chunks of a stream as they come. Unlike the stream's own iterator it can be left while the next
 * chunk is still awaited, and leaving it does not destroy the stream.
 * @param signal ends the iteration early, without an error
 * @throws Error if the stream fails or closes before its end
 */
export async function* chunksOf(stream: Readable, signal: AbortSignal): AsyncGenerator<Buffer> {
  let failure: Error | undefined;
  let ended = stream.readableEnded;
  let wake = () => {};
  const onWake = () => wake();
  const onEnd = () => {
    ended = true;
    wake();
  };
  const onError = (error: Error) => {
    failure = error;
    wake();
  };
  stream.on('readable', onWake).on('end', onEnd).on('close', onWake).on('error', onError);
  signal.addEventListener('abort', onWake);
  try {
    while (!signal.aborted) {
      if (failure !== undefined) throw failure;
      const chunk = stream.read() as Buffer | null;
      if (chunk !== null) {
        yield chunk;
        continue;
      }
      if (ended) return;
      if (stream.destroyed) throw new Error('the stream closed before its end');
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    stream.off('readable', onWake).off('end', onEnd).off('close', onWake);
    signal.removeEventListener('abort', onWake);
    // The error listener stays: a stream that fails after we left must not end the process.
  }
}
