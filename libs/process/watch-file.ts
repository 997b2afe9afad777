import { stat } from 'node:fs/promises';
import type { Logger } from '#libs/log/logger.ts';

/** Milliseconds between two looks; Kubernetes swaps symbolic links, which no watcher sees well. */
const usual = 2000;

export interface WatchedFile {
  /** Reads the file again now, changed or not. */
  reload(): Promise<void>;
  /** Looks now whether it changed. */
  look(): Promise<void>;
  close(): void;
}

/**
 * Calls `load` when the file changes. A load that fails is reported, and what was loaded before stays.
 * @param interval milliseconds between two looks
 */
export function watchFile(
  path: string,
  load: () => Promise<void>,
  log: Logger,
  interval = usual,
): WatchedFile {
  let last = '';
  let running: Promise<void> = Promise.resolve();

  const reload = () => {
    running = running.then(async () => {
      try {
        await load();
        log.info({ file: path }, 'file reloaded');
      } catch (error) {
        const hint = codeOf(error) === 'EACCES' ? '; let this user read it, or restart' : '';
        log.error(
          { err: error, file: path },
          `the changed file cannot be used; the old state stays${hint}`,
        );
      }
    });
    return running;
  };

  const look = async () => {
    let state = 'absent';
    try {
      const found = await stat(path);
      state = `${found.ino} ${found.size} ${found.mtimeMs} ${found.ctimeMs}`;
    } catch (error) {
      // Read by root before this process became somebody who may not even see it.
      if (codeOf(error) === 'EACCES') return;
    }
    const changed = last !== '' && state !== last;
    last = state;
    if (changed) await reload();
  };
  // What changed since it was read is taken now, what changes later by the next look.
  void look().then(async () => {
    await load().catch(() => {});
  });
  const timer = setInterval(() => void look(), interval).unref();
  return { reload, look, close: () => clearInterval(timer) };
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}
