import { z } from 'zod';
import { count, duration, flag, secret, secretList, text, textList } from './values.ts';

/** The sections that concern what surrounds a registry: Redis, events, health, proxying, limits. */
export const redisSchema = z.looseObject({
  /** One server, as distribution 2.8 writes it. */
  addr: text.optional(),
  /** As distribution 3: one server, Sentinels with `mastername`, or several nodes of a Cluster. */
  addrs: textList.optional(),
  mastername: text.optional(),
  username: text.optional(),
  password: secret.optional(),
  sentinelusername: text.optional(),
  sentinelpassword: secret.optional(),
  db: count.default(0),
  clientname: text.optional(),
  dialtimeout: duration.default(5000),
  readtimeout: duration.default(3000),
  writetimeout: duration.optional(),
  tls: z
    .object({
      certificate: text.optional(),
      key: text.optional(),
      rootcas: textList.optional(),
    })
    .optional(),
});

export const notificationsSchema = z.object({
  events: z.object({ includereferences: flag.optional() }).optional(),
  endpoints: z
    .array(
      z.object({
        name: text,
        disabled: flag.optional(),
        url: text.optional(),
        headers: z.record(z.string(), secret.or(z.array(secret))).optional(),
        timeout: duration.optional(),
        threshold: count.optional(),
        backoff: duration.optional(),
        ignoredmediatypes: textList.optional(),
        ignore: z
          .object({ mediatypes: textList.optional(), actions: textList.optional() })
          .optional(),
      }),
    )
    .optional(),
});

const threshold = count.default(0);
const interval = duration.default(10_000);

export const healthSchema = z.object({
  storagedriver: z
    .object({ enabled: flag.default(false), interval, threshold: count.default(3) })
    .optional(),
  file: z.array(z.object({ file: text, interval, threshold })).optional(),
  http: z
    .array(
      z.object({
        uri: text,
        headers: z.record(z.string(), secretList).optional(),
        statuscode: count.optional(),
        timeout: duration.optional(),
        interval,
        threshold,
      }),
    )
    .optional(),
  tcp: z
    .array(z.object({ addr: text, timeout: duration.optional(), interval, threshold }))
    .optional(),
});

export const proxySchema = z.object({
  remoteurl: text.optional(),
  username: text.optional(),
  password: secret.optional(),
  exec: z.object({ command: text.optional(), lifetime: duration.optional() }).optional(),
  ttl: duration.optional(),
  cachewritetimeout: duration.optional(),
});

export const validationSchema = z.object({
  enabled: flag.optional(),
  disabled: flag.optional(),
  manifests: z
    .object({
      urls: z.object({ allow: textList.optional(), deny: textList.optional() }).optional(),
      indexes: z
        .object({
          platforms: z.enum(['all', 'none', 'list']).optional(),
          platformlist: z
            .array(z.object({ architecture: text.optional(), os: text.optional() }))
            .optional(),
        })
        .optional(),
    })
    .optional(),
});

export const reportingSchema = z.object({
  bugsnag: z
    .object({ apikey: secret.optional(), releasestage: text.optional(), endpoint: text.optional() })
    .optional(),
  newrelic: z
    .object({ licensekey: secret.optional(), name: text.optional(), verbose: flag.optional() })
    .optional(),
});
