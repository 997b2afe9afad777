/** Shows on a terminal how far a long work is, in one line that is written over. */
export interface ProgressLine {
  show(text: string): void;
  /** Takes the line away, so that other output can follow. */
  clear(): void;
}

/** Milliseconds between two versions of the line. */
const interval = 100;

/** @param quiet shows nothing; so does a standard error that is no terminal */
export function createProgressLine({ quiet }: { quiet: boolean }): ProgressLine {
  const isShown = process.stderr.isTTY && !quiet;
  let last = 0;
  return {
    show(text) {
      if (!isShown || performance.now() - last < interval) return;
      last = performance.now();
      process.stderr.write(`\r\x1b[K${text}`);
    },
    clear() {
      if (isShown && last > 0) process.stderr.write('\r\x1b[K');
    },
  };
}

/** A bar of `width` characters. */
export function bar(done: number, total: number, width = 30): string {
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
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
