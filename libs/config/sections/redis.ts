import { resolve } from 'node:path';
import { z } from 'zod';
import type { RedisAddress, RedisSettings } from '#libs/redis/redis-settings.ts';
import { count, duration, flag, notEmpty, secret, text, textList } from '../../values/schema.ts';
import { redactUrls } from '../../values/secret.ts';

/** As in the original, 0 is its usual time. */
const timeout = duration('1ms', '24h', { orZero: true });

/** A user or a password in an address would be shown wherever the address is. */
const hasNoCredentials = (address: string) => !address.includes('@');
const noCredentials = {
  message: 'has a user or a password in an address; they are redis.username and redis.password',
};

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
        enabled: flag
          .optional()
          .describe(
            'As distribution 2.8 has it; false is a plain connection, whatever else is here.',
          ),
        certificate: text
          .optional()
          .describe('File with our certificate, for a server that asks for one (PEM).'),
        key: text.optional().describe('File with its private key (PEM).'),
        rootcas: textList
          .optional()
          .describe(
            'Files of the authorities that may sign the certificate of the server; without it those of the system.',
          ),
        clientcas: textList.optional().describe('The same, as distribution 3.0 calls them.'),
      })
      .optional(),
    'write tls: {} to trust who the system trusts, or leave it out for a plain connection',
  ),
});

type Section = z.infer<typeof redisSchema>;

/** @throws Error with one clear sentence for a section that names no server */
export function redisSettings(redis: Section | undefined): RedisSettings | undefined {
  if (redis === undefined) return undefined;
  const given = [...(redis.addr === undefined ? [] : [redis.addr]), ...(redis.addrs ?? [])];
  const [first, ...others] = given.map(parseAddress);
  if (first === undefined) {
    throw new Error('redis: addr or addrs must name a server, such as addr: redis:6379');
  }
  const sentinel = redis.mastername !== undefined;
  const kind = sentinel ? 'sentinel' : others.length > 0 ? 'cluster' : 'single';
  if (kind === 'cluster' && redis.db !== 0) {
    throw new Error('redis.db: a Cluster has only database 0');
  }
  return {
    kind,
    addresses: [first, ...others],
    masterName: redis.mastername ?? '',
    username: redis.username,
    password: redis.password?.reveal(),
    sentinelUsername: redis.sentinelusername,
    sentinelPassword: redis.sentinelpassword?.reveal(),
    db: redis.db,
    clientName: redis.clientname,
    dialTimeout: redis.dialtimeout || 5000,
    commandTimeout: Math.max(redis.readtimeout, redis.writetimeout ?? 0) || 3000,
    tls:
      redis.tls === undefined || redis.tls.enabled === false ? undefined : tlsSettings(redis.tls),
  };
}

function tlsSettings({
  certificate,
  key,
  rootcas = [],
  clientcas = [],
}: NonNullable<Section['tls']>): RedisSettings['tls'] {
  if ((certificate === undefined) !== (key === undefined)) {
    throw new Error('redis.tls: certificate and key belong together; one of them is missing');
  }
  return {
    authorities: [...rootcas, ...clientcas].map((path) => resolve(path)),
    own:
      certificate === undefined || key === undefined
        ? undefined
        : { certificate: resolve(certificate), key: resolve(key) },
  };
}

/** Reads `redis`, `redis:6379`, `10.0.0.1:6379`, `[::1]:6379`. */
function parseAddress(address: string): RedisAddress {
  const match = /^(?:\[([^\]]+)\]|([^:[\]/]+))(?::(\d{1,5}))?$/.exec(address);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3] ?? 6379);
  if (host === undefined || port > 65_535) {
    const shown = redactUrls(address);
    throw new Error(`redis: "${shown}" is not an address such as redis:6379`);
  }
  return { host, port };
}
