import { Cluster, Redis, type RedisOptions } from 'ioredis';
import { readAuthorities, readCertificate } from '#libs/tls/certificate-files.ts';
import type { RedisSettings } from './redis-settings.ts';

/** What is the same for all three kinds. */
type Options = Omit<RedisOptions, 'replyMapping'>;

/** @throws Error if a file of `redis.tls` cannot be read */
export async function redisOptions(settings: RedisSettings): Promise<Options> {
  const { tls, username, password, db, clientName } = settings;
  const options: Options = {
    db,
    enableOfflineQueue: false,
    protocol: 2,
    connectTimeout: settings.dialTimeout,
    commandTimeout: settings.commandTimeout,
    // A command that got no answer is the caller's to repeat, who knows whether it may.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (times) => Math.min(1000, 50 * times),
    // After a failover the connection leads to what is now a replica.
    reconnectOnError: ({ message }) => message.startsWith('READONLY'),
  };
  if (username !== undefined) options.username = username;
  if (password !== undefined) options.password = password;
  if (clientName !== undefined) options.connectionName = clientName;
  if (tls === undefined) return options;
  const ca = await readAuthorities(tls.authorities, 'redis.tls.rootcas');
  const own = tls.own === undefined ? {} : await readCertificate(tls.own, 'redis.tls');
  options.tls = { ...(ca.length > 0 ? { ca } : {}), ...own };
  return options;
}

/** A connection to one server, to the primary that Sentinels name, or to a Cluster. */
export function openClient(settings: RedisSettings, options: Options): Redis | Cluster {
  const { kind, addresses, masterName, sentinelUsername, sentinelPassword } = settings;
  const [{ host, port }] = addresses;
  if (kind === 'single') return new Redis({ ...options, host, port });
  if (kind === 'sentinel') {
    return new Redis({
      ...options,
      sentinels: addresses,
      name: masterName,
      ...(sentinelUsername === undefined ? {} : { sentinelUsername }),
      ...(sentinelPassword === undefined ? {} : { sentinelPassword }),
      ...(options.tls === undefined
        ? {}
        : { sentinelTLS: options.tls, enableTLSForSentinelMode: true }),
      sentinelRetryStrategy: (times) => Math.min(1000, 50 * times),
    });
  }
  const { enableOfflineQueue, retryStrategy: _, readOnly: _readOnly, ...redisOptions } = options;
  return new Cluster(addresses, {
    redisOptions: redisOptions as never,
    enableOfflineQueue: enableOfflineQueue ?? false,
    clusterRetryStrategy: (times) => Math.min(1000, 50 * times),
    retryDelayOnFailover: 100,
    retryDelayOnClusterDown: 0,
    maxRedirections: 4,
    slotsRefreshTimeout: settings.commandTimeout,
    slotsRefreshInterval: 2000,
  });
}

/** The servers that have keys. */
export function primariesOf(client: Redis | Cluster): Redis[] {
  return client instanceof Cluster ? client.nodes('master') : [client];
}
