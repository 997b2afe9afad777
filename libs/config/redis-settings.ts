import { resolve } from 'node:path';
import type { RedisAddress, RedisSettings } from '#libs/redis/redis-settings.ts';
import { redactUrls } from '../values/secret.ts';
import type { Configuration } from './schema/configuration.ts';

/** @throws Error with one clear sentence for a section that names no server */
export function redisSettings(redis: Configuration['redis']): RedisSettings | undefined {
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
    tls: redis.tls === undefined ? undefined : tlsSettings(redis.tls),
  };
}

function tlsSettings({
  certificate,
  key,
  rootcas = [],
}: NonNullable<NonNullable<Configuration['redis']>['tls']>): RedisSettings['tls'] {
  if ((certificate === undefined) !== (key === undefined)) {
    throw new Error('redis.tls: certificate and key belong together; one of them is missing');
  }
  return {
    authorities: rootcas.map((path) => resolve(path)),
    ...(certificate === undefined ? {} : { certificate: resolve(certificate) }),
    ...(key === undefined ? {} : { key: resolve(key) }),
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
