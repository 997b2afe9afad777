import { createWriteStream, type WriteStream } from 'node:fs';
import type { AuditSettings } from '#libs/config/settings.ts';
import type { Logger } from '#libs/log/logger.ts';

/** What happened; docs/access-control.md lists what each holds. */
export type AuditEvent = 'login' | 'token' | 'denied' | 'push' | 'tag' | 'delete' | 'mount';

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
  const { path } = settings;
  let failed = false;
  const open = (): WriteStream => {
    // Lines of several processes do not mix: each is one write at the end of the file.
    const stream = createWriteStream(path, { flags: 'a', mode: 0o640 });
    stream.on('error', (error) => {
      if (!failed) log.error({ err: error, file: path }, 'the audit log cannot be written');
      failed = true;
    });
    return stream;
  };
  let stream = open();
  return {
    write(event, details) {
      stream.write(format(name, event, details));
    },
    reopen() {
      stream.end();
      failed = false;
      stream = open();
    },
    async close() {
      await new Promise<void>((resolve) => stream.end(() => resolve()));
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
