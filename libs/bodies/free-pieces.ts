/** Bytes of bodies after which what is left of their pieces is freed. */
const every = 8 * 1024 * 1024;

let bytesSince = 0;

/**
 * Tells of bytes of a body that were taken. Each piece that comes is a buffer outside of the heap, with next to nothing in
 * it; left alone, V8 frees them after many MiB, by a collection of the whole heap, and until then each new one is memory that
 * no cache of the processor has. A collection of the young generation takes less than a millisecond (docs/adr/0019). Does
 * nothing in a process without `--expose-gc`.
 */
export function freePiecesAfter(bytes: number): void {
  bytesSince += bytes;
  if (bytesSince < every) return;
  bytesSince = 0;
  globalThis.gc?.({ type: 'minor', execution: 'sync' });
}
