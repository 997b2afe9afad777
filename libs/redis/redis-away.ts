/** Redis does not answer, or cannot do its work now; nothing is known of what was asked. */
export class RedisAwayError extends Error {
  readonly code = 'redis-away';

  constructor(cause: unknown) {
    super('Redis does not answer', { cause });
  }
}
