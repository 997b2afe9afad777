import { createWriteStream, type WriteStream } from 'node:fs';
import type { AuditSettings } from '#libs/config/settings.ts';
import type { Logger } from '#libs/log/logger.ts';

/** What happened; docs/access-control.md lists what each holds. */
export type AuditEvent =
  | 'login'
  | 'token'
  | 'denied'
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

/**
 * @param settings undefined: nothing is written
 * @param name which of our processes writes
 */
export function openAuditLog(
  settings: AuditSettings | undefined,
  name: string,
  log: Logger,
): AuditLog {
  if (settings === undefined) return nowhere;
  if (settings.path === undefined) {
    const stream = settings.stream === 'stdout' ? process.stdout : process.stderr;
    return {
      ...nowhere,
      write: (event, details) => void stream.write(format(name, event, details)),
    };
  }
  return openFileLog(settings.path, name, log);
}

/** Milliseconds until a file that could not be written is tried again. */
const retryAfter = 1000;
/** Bytes that wait for a slow disk; what is beyond is lost, and said. */
const mostWaiting = 8 * 1024 * 1024;

function openFileLog(path: string, name: string, log: Logger): AuditLog {
  let stream: WriteStream | undefined;
  let failedAt = Number.NEGATIVE_INFINITY;
  let lost = 0;

  function open(): WriteStream {
    // Lines of several processes do not mix: each is one write at the end of the file.
    const opened = createWriteStream(path, { flags: 'a', mode: 0o640 });
    opened.on('error', (error) => {
      if (lost === 0) log.error({ err: error, file: path }, 'the audit log cannot be written');
      lost += 1;
      failedAt = performance.now();
      if (stream === opened) stream = undefined;
    });
    return opened;
  }
  stream = open();

  return {
    write(event, details) {
      if (stream === undefined && performance.now() - failedAt >= retryAfter) stream = open();
      if (stream === undefined || stream.writableLength > mostWaiting) {
        lost += 1;
        return;
      }
      if (lost > 0 && stream.writableLength === 0) {
        log.error({ file: path, lines: lost }, 'lines of the audit log were lost');
        stream.write(format(name, 'lost', { lines: lost }));
        lost = 0;
      }
      stream.write(format(name, event, details));
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
  return `${JSON.stringify({ time, process: name, event, ...details })}\n`;
}
