import { stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '#libs/log/logger.ts';

/** Milliseconds between two checks; Kubernetes swaps symbolic links, which no watcher sees well. */
const usual = 2000;
/** Milliseconds within which nobody has written to a file that is whole. */
const settled = 250;
/** The same for one that became shorter where it stands, or is gone: somebody is about to write the rest. */
const settledShorter = 2000;

export interface WatchedFile {
  /** Reads the file again now, changed or not, as whoever asks for it knows that it is whole. */
  reload(): Promise<void>;
  /** Looks now whether it changed; resolves when what it saw was taken. */
  refresh(): Promise<void>;
  close(): void;
}

/** What tells two states of a file apart; undefined: it is not there. */
interface FileState {
  ino: number;
  size: number;
  mtimeMs: number;
  ctimeMs: number;
}

/**
 * Calls `load` when the file changes and nobody has written to it for a quarter of a second: what is written in
 * several steps is read when it is whole. One that became shorter without being replaced, or that is gone, is given
 * two seconds. A load that fails is reported, and what was loaded before stays.
 * @param interval milliseconds between two checks
 */
export function watchFile(
  path: string,
  load: () => Promise<void>,
  log: Logger,
  interval = usual,
): WatchedFile {
  /** The state that was loaded; undefined before the first check. */
  let taken: { state: FileState | undefined } | undefined;
  let refreshing: Promise<void> | undefined;
  let running: Promise<void> = Promise.resolve();
  const closed = new AbortController();

  let saidOutOfSight = false;
  /** Somebody may not enter a folder on the way: it stays so until its permissions change. */
  function sayOutOfSight(): void {
    if (saidOutOfSight) return;
    saidOutOfSight = true;
    log.info(
      { file: path },
      'this user may not look at the file; as long as that is so, its changes count at the next start only',
    );
  }

  /** The state that could not be read, of which that was said. */
  let unread: { state: FileState | undefined } | undefined;

  function sayInvalid(error: unknown): void {
    const isUnreadable = codeOf(error) === 'EACCES';
    const what = isUnreadable ? 'may not be read by this user' : 'is invalid';
    const hint = isUnreadable ? '; let this user read it, or restart' : '';
    const message = `the changed file ${what}; keeping the previous state${hint}`;
    log.error({ why: (error as Error).message, file: path }, message);
  }

  /** @returns false if the system did not let it be read, which may pass */
  async function attempt(quiet: boolean): Promise<boolean> {
    try {
      await load();
      log.info({ file: path }, 'file reloaded');
      return true;
    } catch (error) {
      if (!quiet) sayInvalid(error);
      return systemErrorOf(error).syscall === undefined;
    }
  }

  function reloadNow(quiet: boolean): Promise<boolean> {
    const done = running.then(() => attempt(quiet));
    running = done.then(() => {});
    return done;
  }

  const reload = async () => void (await reloadNow(false));

  /** @throws Error if nobody may see whether it is there */
  async function current(): Promise<FileState | undefined> {
    try {
      const { ino, size, mtimeMs, ctimeMs } = await stat(path);
      return { ino, size, mtimeMs, ctimeMs };
    } catch (error) {
      // Read by root before this process became somebody who may not even see it.
      if (codeOf(error) === 'EACCES') throw error;
      return undefined;
    }
  }

  /** Waits until nobody writes to it any more. @param known what is loaded already */
  async function whole(known: FileState | undefined): Promise<FileState | undefined> {
    let state = await current();
    while (!isSame(state, known)) {
      await sleep(isShorter(state, known) ? settledShorter : settled, undefined, {
        ref: false,
        signal: closed.signal,
      });
      const next = await current();
      if (isSame(state, next)) break;
      state = next;
    }
    return state;
  }

  async function refreshOnce(): Promise<void> {
    try {
      if (taken === undefined) {
        // What changed since the caller read it is taken now, without a word.
        const state = await current();
        const failure = await load().then(
          () => undefined,
          (error: unknown) => ({ error, reason: reasonOf(error) }),
        );
        if (failure?.reason === 'content') sayInvalid(failure.error);
        if (failure?.reason === 'passing') {
          // What could not be read is tried again with the next check.
          if (unread === undefined) sayInvalid(failure.error);
          unread = { state };
          return;
        }
        // What only root could read was read before this process became somebody else.
        taken = { state };
        return;
      }
      const state = await whole(taken.state);
      if (isSame(state, taken.state)) return;
      const wasSaid = unread !== undefined && isSame(unread.state, state);
      // What could not be read is tried again with the next check.
      if (await reloadNow(wasSaid)) taken = { state };
      else unread = { state };
    } catch (error) {
      if (codeOf(error) === 'EACCES') sayOutOfSight();
      // Else it was closed.
    }
  }

  const refresh = () => {
    refreshing ??= refreshOnce().finally(() => {
      refreshing = undefined;
    });
    return refreshing;
  };
  void refresh();
  const timer = setInterval(() => void refresh(), interval).unref();
  return {
    reload,
    refresh,
    close() {
      clearInterval(timer);
      closed.abort();
    },
  };
}

function isSame(one: FileState | undefined, other: FileState | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return (
    one.ino === other.ino &&
    one.size === other.size &&
    one.mtimeMs === other.mtimeMs &&
    one.ctimeMs === other.ctimeMs
  );
}

function isShorter(now: FileState | undefined, before: FileState | undefined): boolean {
  if (now === undefined || before === undefined) return before !== undefined;
  return now.ino === before.ino && now.size < before.size;
}

function codeOf(error: unknown): string | undefined {
  return systemErrorOf(error).code;
}

/** Why a file was not loaded: for what is in it, because it may not be seen, or for something that may pass. */
function reasonOf(error: unknown): 'content' | 'out of sight' | 'passing' {
  const { syscall, code = '' } = systemErrorOf(error);
  if (syscall === undefined) return 'content';
  return ['EACCES', 'ENOENT'].includes(code) ? 'out of sight' : 'passing';
}

/** What the system said, also where a sentence was made of it. */
function systemErrorOf(error: unknown): NodeJS.ErrnoException {
  const { syscall, cause } = error as NodeJS.ErrnoException;
  const isWrapped = syscall === undefined && cause instanceof Error;
  return (isWrapped ? cause : error) as NodeJS.ErrnoException;
}
