import { z } from 'zod';
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
import { anything, count, flag, text } from './values.ts';

/** The whole config.yml of distribution 2.8 and 3, and our own section. */
export const configurationSchema = z.object({
  version: z
    .union([z.string(), z.number()])
    .transform(String)
    .refine((value) => value === '0.1', { message: 'version must be 0.1' }),
  log: logSchema.prefault({}),
  loglevel: logLevel.optional(),
  storage: storageSchema.prefault({}),
  middleware: middlewareSchema.optional(),
  auth: authSchema.optional(),
  http: httpSchema.prefault({}),
  redis: redisSchema.optional(),
  notifications: notificationsSchema.optional(),
  health: healthSchema.prefault({}),
  catalog: z.object({ maxentries: count.optional() }).optional(),
  tags: z.object({ maxtags: count.optional() }).optional(),
  proxy: proxySchema.optional(),
  validation: validationSchema.optional(),
  reporting: reportingSchema.optional(),
  policy: z
    .object({ repository: z.object({ classes: z.array(text).optional() }).optional() })
    .optional(),
  compatibility: z
    .object({
      schema1: z.object({ enabled: flag.optional(), signingkeyfile: text.optional() }).optional(),
    })
    .optional(),
  profiling: anything.optional(),
  portcullis: portcullisSchema.prefault({}),
});

export type Configuration = z.infer<typeof configurationSchema>;
