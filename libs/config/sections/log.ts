import { z } from 'zod';
import { type LogFormat, logFormats } from '#libs/log/format-line.ts';
import { anything, flag, secret, text, textList } from '../../values/schema.ts';
import type { SupportRow } from '../support-row.ts';

export const levelSchema = z.enum(['error', 'warn', 'info', 'debug']);

export const logSchema = z.object({
  level: levelSchema.default('info').describe('What is logged: this and what is more serious.'),
  formatter: z
    .enum(logFormats)
    .default('text')
    .describe('Form of a line: text, or json with an object a line.'),
  fields: anything.default({}).describe('Fields that every line has.'),
  accesslog: z
    .object({
      disabled: flag
        .default(false)
        .describe('Whether requests are not logged, but at level debug.'),
    })
    .prefault({}),
  reportcaller: flag.optional(),
  hooks: z
    .array(
      z.object({
        type: text,
        disabled: flag.optional(),
        levels: textList.optional(),
        options: z
          .object({
            smtp: z
              .object({
                addr: text.optional(),
                username: text.optional(),
                password: secret.optional(),
                insecure: flag.optional(),
              })
              .optional(),
            from: text.optional(),
            to: textList.optional(),
          })
          .optional(),
      }),
    )
    .optional(),
});

type Section = z.infer<typeof logSchema>;

/** What is logged, and how. */
export interface LogSettings {
  level: z.infer<typeof levelSchema>;
  format: LogFormat;
  /** That every line has. */
  fields: Record<string, unknown>;
  /** Whether each request has a line. */
  access: boolean;
}

/** @param loglevel the key that the original had before `log.level` */
export function logSettings(log: Section, loglevel: LogSettings['level'] | undefined): LogSettings {
  return {
    level: loglevel ?? log.level,
    format: log.formatter,
    fields: log.fields,
    access: !log.accesslog.disabled,
  };
}

export const logSupport: readonly SupportRow<Section>[] = [
  ['log.hooks', 'warn', 'log hooks are not built yet', ({ hooks }) => hooks],
  ['log.reportcaller', 'warn', 'callers are not reported', ({ reportcaller }) => reportcaller],
];
