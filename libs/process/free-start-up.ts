/** Milliseconds after which what a start needed is no longer used; a first request has been served by then as well. */
const delay = 3000;
/** Of a processor: who has more work than this frees what is unused by that, and would answer nobody for a tenth of a second. */
const busy = 0.05;

/**
 * Frees what a start left behind, once there is nothing to do: V8 does so only when more is allocated, which in a process without
 * work is never, and a third of its memory is that. Does nothing without `--expose-gc`.
 */
export function freeStartUp(): void {
  const before = process.cpuUsage();
  const freeIfIdle = () => {
    const { user, system } = process.cpuUsage(before);
    if ((user + system) / 1000 > busy * delay) return freeStartUp();
    globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
  };
  setTimeout(freeIfIdle, delay).unref();
}
