import { z } from 'zod';
import {
  count,
  duration,
  flag,
  notEmpty,
  secret,
  secretList,
  text,
  textList,
} from '../../values/schema.ts';

/** As in the original, 0 is its usual time. */
const timeout = duration('1ms', '24h', { orZero: true });

/** A user or a password in an address would be shown wherever the address is. */
const hasNoCredentials = (address: string) => !address.includes('@');
const noCredentials = {
  message: 'has a user or a password in an address; they are redis.username and redis.password',
};

/** The sections that concern what surrounds a registry: Redis, events, health, proxying, limits. */
export const redisSchema = z.looseObject({
  /** One server, as distribution 2.8 writes it. */
  addr: text.refine(hasNoCredentials, noCredentials).optional(),
  /** As distribution 3: one server, Sentinels with `mastername`, or several nodes of a Cluster. */
  addrs: textList.refine((all) => all.every(hasNoCredentials), noCredentials).optional(),
  mastername: text.optional(),
  username: text.optional(),
  password: secret.optional(),
  sentinelusername: text.optional(),
  sentinelpassword: secret.optional(),
  db: count(0, 1_000_000).default(0),
  clientname: text.optional(),
  dialtimeout: timeout.default(5000),
  readtimeout: timeout.default(3000),
  writetimeout: timeout.optional(),
  tls: notEmpty(
    z
      .object({
        certificate: text.optional(),
        key: text.optional(),
        rootcas: textList.optional(),
      })
      .optional(),
    'write tls: {} to trust who the system trusts, or leave it out for a plain connection',
  ),
});

export const notificationsSchema = z.object({
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

/** As in the original, 0 is 1. */
const threshold = count(0, 1_000_000).default(0);
/** As in the original, 0 is 10s. */
const interval = duration('10ms', '8760h', { orZero: true }).default(10_000);

export const healthSchema = z.object({
  storagedriver: z
    .object({ enabled: flag.default(false), interval, threshold: count(0, 1_000_000).default(3) })
    .optional(),
  file: z.array(z.object({ file: text, interval, threshold })).optional(),
  http: z
    .array(
      z.object({
        uri: text,
        headers: z.record(z.string(), secretList).optional(),
        /** As in the original, 0 is 200. */
        statuscode: count(0, 599).optional(),
        /** As in the original, 0 is the interval. */
        timeout: timeout.optional(),
        interval,
        threshold,
      }),
    )
    .optional(),
  tcp: z
    .array(z.object({ addr: text, timeout: timeout.optional(), interval, threshold }))
    .optional(),
});

export const proxySchema = z.object({
  remoteurl: text.optional(),
  username: text.optional(),
  password: secret.optional(),
  exec: z
    .object({ command: text.optional(), lifetime: duration('0s', '87600h').optional() })
    .optional(),
  ttl: duration('0s', '87600h').optional(),
  cachewritetimeout: timeout.optional(),
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
