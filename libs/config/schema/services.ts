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
  addr: text
    .refine(hasNoCredentials, noCredentials)
    .optional()
    .describe('One server, as distribution 2.8 writes it.'),
  addrs: textList
    .refine((all) => all.every(hasNoCredentials), noCredentials)
    .optional()
    .describe(
      'One server, Sentinels with mastername, or nodes of a Cluster, as distribution 3 writes it.',
    ),
  mastername: text.optional().describe('What the Sentinels call the master.'),
  username: text.optional().describe('User of its ACL.'),
  password: secret.optional().describe('Its password.'),
  sentinelusername: text.optional().describe('The same for the Sentinels.'),
  sentinelpassword: secret.optional().describe('The same for the Sentinels.'),
  db: count(0, 1_000_000).default(0).describe('Number of the database; a Cluster has only 0.'),
  clientname: text.optional().describe('Name of our connections, as CLIENT LIST shows it.'),
  dialtimeout: timeout.default(5000).describe('How long connecting may take; 0 is the default.'),
  readtimeout: timeout
    .default(3000)
    .describe('How long a command may take before Redis counts as away; 0 is the default.'),
  writetimeout: timeout.optional().describe('The same; the longer of the two counts.'),
  tls: notEmpty(
    z
      .object({
        certificate: text
          .optional()
          .describe('File with our certificate, for a server that asks for one (PEM).'),
        key: text.optional().describe('File with its private key (PEM).'),
        rootcas: textList
          .optional()
          .describe(
            'Files of the authorities that may sign the certificate of the server; without it those of the system.',
          ),
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

const threshold = count(0, 1_000_000)
  .default(0)
  .describe('How many failures in a row count; 0 is 1, as in the original.');
const interval = duration('10ms', '8760h', { orZero: true })
  .default(10_000)
  .describe('How often it is looked at; 0 is 10s, as in the original.');

export const healthSchema = z.object({
  storagedriver: z
    .object({
      enabled: flag
        .default(false)
        .describe(
          'Whether the storage is asked regularly, and a failure makes a process not ready.',
        ),
      interval,
      threshold: count(0, 1_000_000).default(3).describe('How many failures in a row count.'),
    })
    .optional(),
  file: z
    .array(
      z.object({
        file: text.describe('File whose presence makes the processes unhealthy.'),
        interval,
        threshold,
      }),
    )
    .optional(),
  http: z
    .array(
      z.object({
        uri: text.describe('Address that is asked with HEAD.'),
        headers: z.record(z.string(), secretList).optional().describe('Headers of the request.'),
        statuscode: count(0, 599)
          .optional()
          .describe('Status that it must answer; 0 is 200, as in the original.'),
        timeout: timeout
          .optional()
          .describe('How long an answer may take; 0 is the interval, at most a minute.'),
        interval,
        threshold,
      }),
    )
    .optional(),
  tcp: z
    .array(
      z.object({
        addr: text.describe('Host and port that must accept a connection.'),
        timeout: timeout
          .optional()
          .describe('How long that may take; 0 is the interval, at most a minute.'),
        interval,
        threshold,
      }),
    )
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
  disabled: flag
    .optional()
    .describe('Whether any manifest is taken that is one, whatever it refers to.'),
  manifests: z
    .object({
      urls: z.object({ allow: textList.optional(), deny: textList.optional() }).optional(),
      indexes: z
        .object({
          platforms: z
            .enum(['all', 'none', 'list'])
            .optional()
            .describe('Which images of an index must be in the repository.'),
          platformlist: z
            .array(
              z.object({
                architecture: text
                  .optional()
                  .describe('Architecture of an image that must be there, with list.'),
                os: text.optional().describe('Its operating system.'),
              }),
            )
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
