import { z } from 'zod';
import {
  anything,
  count,
  duration,
  flag,
  secret,
  secretList,
  text,
  textList,
} from '../../values/schema.ts';
import type { SupportRow } from '../support-row.ts';

/** As in the original, 0 is its usual time. */
const timeout = duration('1ms', '24h', { orZero: true });

const notificationsSchema = z.object({
  events: z.object({ includereferences: flag.optional() }).optional(),
  endpoints: z
    .array(
      z.object({
        name: text,
        disabled: flag.optional(),
        url: text.optional(),
        headers: z.record(z.string(), secretList).optional(),
        timeout: timeout.optional(),
        threshold: count(0, 1_000_000).optional(),
        backoff: timeout.optional(),
        ignoredmediatypes: textList.optional(),
        ignore: z
          .object({ mediatypes: textList.optional(), actions: textList.optional() })
          .optional(),
      }),
    )
    .optional(),
});

const proxySchema = z.object({
  remoteurl: text.optional(),
  username: text.optional(),
  password: secret.optional(),
  exec: z
    .object({ command: text.optional(), lifetime: duration('0s', '87600h').optional() })
    .optional(),
  ttl: duration('0s', '87600h').optional(),
  cachewritetimeout: timeout.optional(),
});

const reportingSchema = z.object({
  bugsnag: z
    .object({ apikey: secret.optional(), releasestage: text.optional(), endpoint: text.optional() })
    .optional(),
  newrelic: z
    .object({ licensekey: secret.optional(), name: text.optional(), verbose: flag.optional() })
    .optional(),
});

const middlewareSchema = z.record(
  z.string(),
  z.array(z.object({ name: text, disabled: flag.optional(), options: anything.optional() })),
);

/** The sections of the original that are read whole, and not acted on. */
export const unsupportedSections = {
  middleware: middlewareSchema.optional(),
  notifications: notificationsSchema.optional(),
  proxy: proxySchema.optional(),
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
};

type Sections = {
  [Name in keyof typeof unsupportedSections]?: z.infer<(typeof unsupportedSections)[Name]>;
};

export const unsupportedRows: readonly SupportRow<Sections>[] = [
  ['proxy', 'stop', 'a pull-through cache is not built yet', ({ proxy }) => proxy?.remoteurl],
  ['middleware', 'stop', 'middleware is not built yet', hasMiddleware],
  [
    'notifications',
    'stop',
    'events are not sent yet; portcullis.ignore: [notifications] starts without them',
    hasEndpoints,
  ],
  [
    'policy.repository.classes',
    'stop',
    'repository classes are not known',
    ({ policy }) => policy?.repository?.classes,
  ],
  [
    'compatibility.schema1.enabled',
    'stop',
    'Docker schema 1 is not accepted',
    ({ compatibility }) => compatibility?.schema1?.enabled,
  ],
  ['reporting', 'warn', 'nothing is reported to outside services', ({ reporting }) => reporting],
];

function hasMiddleware({ middleware = {} }: Sections): boolean {
  return Object.values(middleware).some((list) => list.some(({ disabled }) => disabled !== true));
}

function hasEndpoints({ notifications }: Sections): boolean {
  return (notifications?.endpoints ?? []).some(({ disabled }) => disabled !== true);
}
