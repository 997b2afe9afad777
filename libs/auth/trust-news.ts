import type { RedisSettings } from '#libs/config/redis-settings.ts';
import type { Logger } from '#libs/log/logger.ts';
import type { Metrics } from '#libs/metrics/metrics.ts';
import { connectRedis, type RedisConnection } from '#libs/redis/connection.ts';
import { measureRedis } from '#libs/redis/measure-redis.ts';

/** The channel on which a token service says that accounts, and so what is trusted, have changed. */
export const trustChannel = 'portcullis:trust';

/**
 * A connection for processes that only tell or hear news of trust. Without it, or while Redis is away,
 * whoever wants to know looks every few seconds.
 */
export async function connectForNews(
  settings: RedisSettings | undefined,
  log: Logger,
  metrics: Metrics | undefined,
): Promise<RedisConnection | undefined> {
  if (settings === undefined) return undefined;
  const redis = await connectRedis(settings, log, 'changed accounts are seen a little later');
  measureRedis(redis, metrics);
  return redis;
}
