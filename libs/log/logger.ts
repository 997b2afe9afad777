import pino, { type DestinationStream, type Logger } from 'pino';
import { formatLine, type LogFormat } from './format-line.ts';

export type { Logger } from 'pino';

export interface LogOptions {
  level: 'error' | 'warn' | 'info' | 'debug';
  format: LogFormat;
  /** `log.fields` of the configuration: bound to every line. */
  fields: Readonly<Record<string, unknown>>;
  /** Which of our processes writes. */
  process: string;
}

/** Paths whose values are never written, wherever a line is made. */
const secrets = [
  'authorization',
  'password',
  'token',
  'secret',
  'cookie',
  '*.authorization',
  '*.password',
  '*.token',
  '*.secret',
  '*.cookie',
];

/** A logger that writes one line a record to standard output, in the configured format. */
export function createLogger(
  { level, format, fields, process: name }: LogOptions,
  output: DestinationStream = process.stdout,
): Logger {
  return pino(
    {
      level,
      base: { ...fields, process: name },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: secrets, censor: '***' },
      errorKey: 'err',
    },
    { write: (line) => void output.write(formatLine(line, format)) },
  );
}
