import { z } from 'zod';
import { logFormats } from '#libs/log/format-line.ts';
import { anything, flag, secret, text, textList } from '../../values/schema.ts';

export const logLevel = z.enum(['error', 'warn', 'info', 'debug']);

export const logSchema = z.object({
  level: logLevel.default('info').describe('What is logged: this and what is more serious.'),
  formatter: z
    .enum(logFormats)
    .default('text')
    .describe('Form of a line: text, or json with an object a line.'),
  fields: anything.default({}).describe('Fields that every line has.'),
  accesslog: z
    .object({ disabled: flag.default(false).describe('Whether requests are not logged.') })
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
