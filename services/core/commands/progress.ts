/** How far a long work is. */
export interface Progress {
  /** What is being done, such as `marking`. */
  phase: string;
  done: number;
  /** Undefined where it is not known beforehand. */
  total?: number;
}

/** Shows on a terminal how far a long work is, in one line that is written over. */
export interface ProgressLine {
  show(progress: Progress): void;
  /** Takes the line away, so that other output can follow. */
  clear(): void;
}

/** Milliseconds between two versions of the line. */
const interval = 100;

/** Milliseconds in which what is short is done without a line. */
const quietFor = 2000;

/** @param quiet shows nothing; so does a standard error that is no terminal */
export function createProgressLine({ quiet }: { quiet: boolean }): ProgressLine {
  const isShown = process.stderr.isTTY && !quiet;
  const began = performance.now();
  let phase = { name: '', since: began };
  let last = began + quietFor - interval;
  return {
    show(progress) {
      const now = performance.now();
      if (progress.phase !== phase.name) phase = { name: progress.phase, since: now };
      if (!isShown || now - last < interval) return;
      last = now;
      process.stderr.write(`\r\x1b[K${describeProgress(progress, now - phase.since)}`);
    },
    clear() {
      if (isShown && last > began + quietFor) process.stderr.write('\r\x1b[K');
    },
  };
}

/**
 * `blobs [=====     ] 1200 of 2400, 300/s, 4 s left`
 * @param elapsed milliseconds since the phase began
 */
export function describeProgress({ phase, done, total }: Progress, elapsed: number): string {
  const rate = elapsed > 0 ? (done / elapsed) * 1000 : 0;
  const speed = rate > 0 ? `, ${rate < 10 ? rate.toFixed(1) : Math.round(rate)}/s` : '';
  if (total === undefined) return `${phase}: ${done}${speed}`;
  const left = rate > 0 ? `, ${describeTime((total - done) / rate)} left` : '';
  return `${phase} ${bar(done, total)} ${done} of ${total}${speed}${left}`;
}

function describeTime(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** A bar of `width` characters. */
function bar(done: number, total: number, width = 30): string {
  const filled = total === 0 ? width : Math.min(width, Math.floor((done / total) * width));
  return `[${'='.repeat(filled)}${' '.repeat(width - filled)}]`;
}

/** `1.5 GB`: sizes as the storage sellers count them. */
export function formatBytes(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return unit === 0 ? `${bytes} bytes` : `${value.toFixed(1)} ${units[unit]}`;
}

/** `1 blob`, `2 blobs`. */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : plural}`;
}
