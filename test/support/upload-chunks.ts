import type { UploadChunk } from '../../services/core/registry/uploads/take-chunk.ts';

type Place = Pick<UploadChunk, 'start' | 'locationOffset' | 'length'>;

/** A request body that comes in these pieces. */
export function chunkOf(bytes: Buffer | readonly Buffer[], place: Place = {}): UploadChunk {
  const pieces = Buffer.isBuffer(bytes) ? [bytes] : bytes;
  return {
    ...place,
    async *source() {
      yield* pieces;
    },
  };
}

/** A request body that breaks off after its bytes, as when the client goes away. */
export function brokenChunkOf(bytes: Buffer, error = new Error('the client is gone')): UploadChunk {
  return {
    async *source() {
      yield bytes;
      throw error;
    },
  };
}

/** A request body that gives its bytes and then hangs until its reader is told to let go. */
export function hangingChunkOf(bytes: Buffer): { chunk: UploadChunk; taken: Promise<void> } {
  const { promise: taken, resolve } = Promise.withResolvers<void>();
  return {
    taken,
    chunk: {
      async *source(signal) {
        yield bytes;
        // Asked for more: what was given is written.
        resolve();
        if (signal.aborted) return;
        await new Promise((wake) => signal.addEventListener('abort', wake, { once: true }));
      },
    },
  };
}
