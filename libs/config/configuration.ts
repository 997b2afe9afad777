import { z } from 'zod';
import { notEmpty } from '../values/schema.ts';
import { authSchema } from './sections/auth.ts';
import { healthSchema } from './sections/health.ts';
import { httpSchema } from './sections/http.ts';
import { levelSchema, logSchema } from './sections/log.ts';
import { catalogSchema, tagsSchema } from './sections/pages.ts';
import { portcullisSchema } from './sections/portcullis.ts';
import { redisSchema } from './sections/redis.ts';
import { storageSchema } from './sections/storage.ts';
import { unsupportedSections } from './sections/unsupported.ts';
import { validationSchema } from './sections/validation.ts';

/** The whole config.yml of distribution 2.8 and 3, and our own section. */
export const configurationSchema = z.object({
  version: z
    .union([z.string(), z.number()], { error: 'is missing; a config.yml begins with version: 0.1' })
    .transform(String)
    .refine((value) => value === '0.1', { message: 'must be 0.1, the version of the original' })
    .describe('Of the format: the one that the original registry has.'),
  log: logSchema.prefault({}),
  loglevel: levelSchema.optional().describe('Deprecated, as in the original: log.level.'),
  storage: storageSchema.prefault({}),
  auth: notEmpty(authSchema.optional(), 'leave it out for a registry that is open to everybody'),
  http: httpSchema.prefault({}),
  redis: notEmpty(redisSchema.optional(), 'name a server, or leave it out'),
  health: healthSchema.prefault({}),
  catalog: catalogSchema.optional(),
  tags: tagsSchema.optional(),
  validation: validationSchema.optional(),
  ...unsupportedSections,
  portcullis: portcullisSchema.prefault({}),
});

export type Configuration = z.infer<typeof configurationSchema>;
