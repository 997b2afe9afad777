import { z } from 'zod';
import { anything, count, flag, notEmpty, text } from '../../values/schema.ts';
import { authSchema } from './auth.ts';
import { httpSchema } from './http.ts';
import { logLevel, logSchema } from './log.ts';
import { portcullisSchema } from './portcullis.ts';
import {
  healthSchema,
  notificationsSchema,
  proxySchema,
  redisSchema,
  reportingSchema,
  validationSchema,
} from './services.ts';
import { middlewareSchema, storageSchema } from './storage.ts';

/** As in the original, 0 is the usual number. */
const page = count(0, 1_000_000).optional();

/** The whole config.yml of distribution 2.8 and 3, and our own section. */
export const configurationSchema = z.object({
  version: z
    .union([z.string(), z.number()], { error: 'is missing; a config.yml begins with version: 0.1' })
    .transform(String)
    .refine((value) => value === '0.1', { message: 'must be 0.1, the version of the original' })
    .describe('Of the format: the one that the original registry has.'),
  log: logSchema.prefault({}),
  loglevel: logLevel.optional().describe('Deprecated, as in the original: log.level.'),
  storage: storageSchema.prefault({}),
  middleware: middlewareSchema.optional(),
  auth: notEmpty(authSchema.optional(), 'leave it out for a registry that is open to everybody'),
  http: httpSchema.prefault({}),
  redis: notEmpty(redisSchema.optional(), 'name a server, or leave it out'),
  notifications: notificationsSchema.optional(),
  health: healthSchema.prefault({}),
  catalog: z
    .object({
      maxentries: page.describe(
        'Largest page of the catalog; without it, or with 0, portcullis.pagesize.',
      ),
    })
    .optional(),
  tags: z
    .object({
      maxtags: page.describe(
        'Largest page of a tag list; without it, or with 0, portcullis.pagesize.',
      ),
    })
    .optional(),
  proxy: proxySchema.optional(),
  validation: validationSchema.optional(),
  reporting: reportingSchema.optional(),
  policy: z
    .object({ repository: z.object({ classes: z.array(text).optional() }).optional() })
    .optional(),
  compatibility: z
    .object({
      schema1: z
        .object({
          enabled: flag.optional(),
          signingkeyfile: text.optional().describe('Read; schema 1 is not accepted.'),
        })
        .optional(),
    })
    .optional(),
  profiling: anything.optional().describe('Read; nothing is sent to a profiler.'),
  portcullis: portcullisSchema.prefault({}),
});

export type Configuration = z.infer<typeof configurationSchema>;
