import type { Metrics } from '#libs/metrics/metrics.ts';
import type { RedisConnection } from './connection.ts';

/** `portcullis_redis_up`. */
export function measureRedis(
  redis: Pick<RedisConnection, 'up'>,
  metrics: Metrics | undefined,
): void {
  metrics?.gauge(
    'portcullis_redis_up',
    '1 while Redis answers, 0 while it is away',
    [],
    (gauge) => {
      gauge.set(redis.up ? 1 : 0);
    },
  );
}
