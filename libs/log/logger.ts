import pino, { type DestinationStream, type Logger } from 'pino';
import { formatLine, type LogFormat } from './format-line.ts';
import { createLineOutput, surviveErrors } from './line-output.ts';

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

/**
 * A logger that writes one line a record, in the configured format. Without an output it writes to standard output, and
 * this process survives whatever becomes of that, and of standard error.
 */
export function createLogger(options: LogOptions, output?: DestinationStream): Logger {
  const { level, format, fields, process: name } = options;
  const lines = output ?? standardOutput(options);
  return pino(
    {
      level,
      base: { ...apart(fields), process: name },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: secrets, censor: '***' },
      errorKey: 'err',
      serializers: { err: (error: Error) => describeError(error, level === 'debug') },
    },
    { write: (line) => void lines.write(formatLine(line, format)) },
  );
}

/** What every line has by itself. */
const ours: ReadonlySet<string> = new Set(['time', 'level', 'msg', 'process', 'err']);

/** Fields with the name of one of ours stand behind `fields.`, as the original has it. */
function apart(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const entries = Object.entries(fields);
  return Object.fromEntries(
    entries.map(([name, value]) => [ours.has(name) ? `fields.${name}` : name, value]),
  );
}

/**
 * What is known of an error, but for bytes: Node keeps with some all that a peer said. The stack of one that has a code tells
 * nothing of what is wrong: the system, a peer or we ourselves said that on purpose.
 */
function describeError(error: Error, isDebug: boolean): object {
  const described: Record<string, unknown> = { ...pino.stdSerializers.err(error) };
  if (!isDebug && isExpected(error)) delete described.stack;
  // Where it says what its cause says, that is not said once more.
  const { message, cause } = error;
  if (cause instanceof Error && cause.cause === undefined && message.includes(cause.message)) {
    described.message = message;
  }
  for (const [name, value] of Object.entries(described)) {
    if (ArrayBuffer.isView(value)) described[name] = `${value.byteLength} bytes`;
  }
  return described;
}

/** @returns true for an error with a code, or that was made of one */
function isExpected(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return 'code' in error || isExpected(error.cause);
}

function standardOutput(options: LogOptions): DestinationStream {
  surviveErrors(process.stderr);
  const describeLoss = (lines: number) => {
    let text = '';
    const write = (line: string) => {
      text = line;
    };
    createLogger(options, { write }).error({ lines }, 'lines of this log were lost');
    return text;
  };
  return createLineOutput(process.stdout, { describeLoss });
}
