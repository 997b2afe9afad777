import {
  closeSync,
  constants,
  createWriteStream,
  fstatSync,
  openSync,
  type WriteStream,
} from 'node:fs';
import { createLineOutput } from '#libs/log/line-output.ts';
import type { Logger } from '#libs/log/logger.ts';

/** Where the audit log goes: one of the two. */
export interface AuditDestination {
  path: string | undefined;
  stream: 'stdout' | 'stderr' | undefined;
}

/** What happened; docs/access-control.md lists what each holds. */
export type AuditEvent =
  | 'login'
  | 'token'
  /** A right token that does not cover what it was used for. */
  | 'denied'
  /** A token that nobody issued who is trusted. */
  | 'forged'
  /** A login, or a request without one, that was not looked at for there were too many. */
  | 'limited'
  /** An account was made, changed or removed. */
  | 'account'
  /** An operator made void what was issued to a subject. */
  | 'revoked'
  | 'push'
  | 'tag'
  | 'delete'
  | 'mount'
  /** So many lines could not be written. */
  | 'lost';

/** Where decisions that matter are written, one JSON line each. Never a secret. */
export interface AuditLog {
  write(event: AuditEvent, details: Readonly<Record<string, unknown>>): void;
  /** Goes on in a new file, after the old one was moved away. */
  reopen(): void;
  close(): Promise<void>;
}

const nowhere: AuditLog = { write() {}, reopen() {}, close: async () => {} };

/** A pipe nobody reads from has whoever opens it wait, without an end. */
const appending = constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK;

/**
 * @param how `check` makes no file that is not there
 * @throws Error with one clear sentence if a file cannot be written by this user, or is a pipe
 */
export function assertAuditLog(
  settings: AuditDestination | undefined,
  how: 'open' | 'check' = 'open',
): void {
  const path = settings?.path;
  if (path === undefined) return;
  try {
    const making = how === 'open' ? constants.O_CREAT : 0;
    const file = openSync(path, appending | making, fileMode);
    const isPipe = fstatSync(file).isFIFO();
    closeSync(file);
    if (isPipe) throw new NotAFile();
  } catch (error) {
    const { code = '', message } = error as NodeJS.ErrnoException;
    if (error instanceof NotAFile || code === 'ENXIO') {
      throw new Error(
        `portcullis.audit: ${path} is a pipe or a socket; name a file, or write stdout`,
        {
          cause: error,
        },
      );
    }
    // A disk that is full has room again.
    if (code === 'ENOSPC' || code === 'EDQUOT') return;
    if (how === 'check' && code === 'ENOENT') return;
    throw new Error(`portcullis.audit: ${path} cannot be written by this user: ${message}`, {
      cause: error,
    });
  }
}

class NotAFile extends Error {}

/** Permissions of a new file. */
const fileMode = 0o640;

/**
 * @param settings undefined: nothing is written
 * @param name which of our processes writes
 */
export function openAuditLog(
  settings: AuditDestination | undefined,
  name: string,
  log: Logger,
): AuditLog {
  if (settings === undefined) return nowhere;
  if (settings.path === undefined) {
    const stream = settings.stream === 'stdout' ? process.stdout : process.stderr;
    const describeLoss = (lines: number) => format(name, 'lost', { lines });
    const output = createLineOutput(stream, { describeLoss });
    return { ...nowhere, write: (event, details) => output.write(format(name, event, details)) };
  }
  return openFileLog(settings.path, name, log);
}

/** Milliseconds until a file that could not be written is tried again. */
const retryAfter = 1000;
/** Bytes that wait for a slow disk; what is beyond is lost, and said. */
const maxWaiting = 8 * 1024 * 1024;

function openFileLog(path: string, name: string, log: Logger): AuditLog {
  let stream: WriteStream | undefined;
  let failedAt = Number.NEGATIVE_INFINITY;
  let lost = 0;
  let failing = false;

  function open(): WriteStream {
    // Lines of several processes do not mix: each is one write at the end of the file.
    const opened = createWriteStream(path, { flags: 'a', mode: fileMode });
    opened.on('error', (error) => {
      if (!failing) log.error({ err: error, file: path }, 'the audit log cannot be written');
      failing = true;
      failedAt = performance.now();
      if (stream === opened) stream = undefined;
    });
    return opened;
  }
  stream = open();

  /** @param lines how many are lost if this cannot be written */
  function put(file: WriteStream, text: string, lines: number): void {
    file.write(text, (error) => {
      if (error) lost += lines;
      else failing = false;
    });
  }

  return {
    write(event, details) {
      if (stream === undefined && performance.now() - failedAt >= retryAfter) stream = open();
      if (stream === undefined || stream.writableLength > maxWaiting) {
        lost += 1;
        return;
      }
      if (lost > 0 && stream.writableLength === 0) {
        const lines = lost;
        lost = 0;
        log.error({ file: path, lines }, 'lines of the audit log were lost');
        put(stream, format(name, 'lost', { lines }), lines);
      }
      put(stream, format(name, event, details), 1);
    },
    reopen() {
      stream?.end();
      stream = open();
    },
    async close() {
      await new Promise<void>((resolve) => {
        if (stream === undefined || stream.destroyed) return resolve();
        stream.once('error', () => resolve());
        stream.end(() => resolve());
      });
    },
  };
}

function format(
  name: string,
  event: AuditEvent,
  details: Readonly<Record<string, unknown>>,
): string {
  const time = new Date().toISOString();
  const line = JSON.stringify({ time, process: name, event, ...details });
  return `${line.replace(unprintable, escapeCharacter)}\n`;
}

/** What a terminal acts on, or what shows the rest of a line in another order, and JSON lets stand. */
const unprintable = /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
