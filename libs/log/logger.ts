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
      base: { ...fields, process: name },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: secrets, censor: '***' },
      errorKey: 'err',
      serializers: { err: describeError },
    },
    { write: (line) => void lines.write(formatLine(line, format)) },
  );
}

/** What is known of an error, but for bytes: Node keeps with some all that a peer said. */
function describeError(error: Error): object {
  const described = pino.stdSerializers.err(error);
  for (const [name, value] of Object.entries(described)) {
    if (ArrayBuffer.isView(value)) described[name] = `${value.byteLength} bytes`;
  }
  return described;
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
