/** The formats of distribution's `log.formatter`. */
export const logFormats = ['text', 'json', 'logstash'] as const;

export type LogFormat = (typeof logFormats)[number];

interface LogRecord {
  time?: string;
  level?: string;
  msg?: string;
  [key: string]: unknown;
}

/** Turns one JSON line, newline included, into the configured format. */
export function formatLine(line: string, format: LogFormat): string {
  if (format === 'json') return line;
  const record = JSON.parse(line) as LogRecord;
  return `${format === 'text' ? formatText(record) : formatLogstash(record)}\n`;
}

/** `time="…" level=info msg="…" key=value`, the shape that distribution's users know. */
function formatText({ time, level, msg, ...rest }: LogRecord): string {
  const parts = [`time=${quote(time)}`, `level=${level}`, `msg=${quote(msg ?? '')}`];
  for (const [key, value] of Object.entries(rest)) {
    if (key === 'err') parts.push(`err=${quote(describeError(value))}`);
    else parts.push(`${key}=${isPlain(value) ? String(value) : quote(value)}`);
  }
  return parts.join(' ');
}

function formatLogstash({ time, msg, ...rest }: LogRecord): string {
  return JSON.stringify({ '@timestamp': time, '@version': '1', message: msg ?? '', ...rest });
}

function isPlain(value: unknown): boolean {
  if (typeof value === 'number' || typeof value === 'boolean') return true;
  return typeof value === 'string' && /^[\w./:@+-]+$/.test(value);
}

function quote(value: unknown): string {
  const text = JSON.stringify(typeof value === 'string' ? value : JSON.stringify(value)) ?? '""';
  // What a client sends must not move the cursor, or the order of the letters, of who reads the log.
  return text.replace(/[\p{Cc}\p{Cf}]/gu, (odd) => `\\u{${odd.codePointAt(0)?.toString(16)}}`);
}

function describeError(value: unknown): string {
  const { stack, message } = (value ?? {}) as { stack?: string; message?: string };
  return stack ?? message ?? String(value);
}
