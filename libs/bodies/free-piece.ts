import type { Readable } from 'node:stream';
import { IncomingMessage } from '#libs/http/node-http.ts';

/** Bytes of pieces that cannot be freed one by one, after which the young generation is collected. */
const collectEvery = 8 * 1024 * 1024;

let bytesSince = 0;

/**
 * Frees a piece of a body that was used, so that its memory serves the next one while a cache of the processor still has it.
 * Left alone, V8 frees pieces after many MiB, by a collection of the whole heap (docs/adr/0019).
 *
 * A piece of a message of HTTP/1.1 is a copy that the parser made for it alone, and is freed at once: nobody may look at it any more,
 * and its length is 0. One of HTTP/2 is a part of what came for all streams of its connection; those are freed every 8 MiB by a
 * collection of the young generation, which takes less than a millisecond (`--expose-gc`).
 * @param body of which it is
 */
export function freePiece(piece: Buffer, body: Readable): void {
  if (body instanceof IncomingMessage) {
    const { buffer, length } = piece;
    // Small ones that were joined may be in a buffer that is shared.
    if (length === buffer.byteLength) (buffer as ArrayBuffer).transfer(0);
    return;
  }
  bytesSince += piece.length;
  if (bytesSince < collectEvery) return;
  bytesSince = 0;
  globalThis.gc?.({ type: 'minor', execution: 'sync' });
}
