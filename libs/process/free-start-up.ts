/** Milliseconds after which what a start needed is no longer used; a first request has been served by then as well. */
const delay = 3000;

/**
 * Frees what a start left behind, once: V8 does so only when more is allocated, which in a process without work is never, and
 * a third of its memory is that. Does nothing without `--expose-gc`.
 */
export function freeStartUp(): void {
  const free = () => globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  setTimeout(free, delay).unref();
}
