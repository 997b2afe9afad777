import type { Logger } from '#libs/log/logger.ts';
import type { Metrics } from '#libs/metrics/metrics.ts';
import { connectRedis, type RedisConnection } from '#libs/redis/connection.ts';
import { measureRedis } from '#libs/redis/measure-redis.ts';
import type { RedisSettings } from '#libs/redis/redis-settings.ts';

/** The Redis channel on which a token service says that accounts, keys or revocations have changed. */
export const invalidationChannel = 'portcullis:trust';

/**
 * A connection for processes that only publish or subscribe there. Without it, or while Redis is away,
 * subscribers poll every few seconds.
 */
export async function connectInvalidationChannel(
  settings: RedisSettings | undefined,
  log: Logger,
  metrics: Metrics | undefined,
): Promise<RedisConnection | undefined> {
  if (settings === undefined) return undefined;
  const redis = await connectRedis(settings, log, 'changed accounts are seen a little later');
  measureRedis(redis, metrics);
  return redis;
}
