import { createLogger, type Logger } from '#libs/log/logger.ts';

/** A logger that keeps its records for a test to look at. */
export function createRecordingLog(level: 'info' | 'debug' = 'info'): {
  log: Logger;
  messages: () => string[];
} {
  const records: { level: string; msg: string }[] = [];
  const log = createLogger(
    { level, format: 'json', fields: {}, process: 'test' },
    { write: (line) => void records.push(JSON.parse(line) as { level: string; msg: string }) },
  );
  return { log, messages: () => records.map(({ level, msg }) => `${level}: ${msg}`) };
}
