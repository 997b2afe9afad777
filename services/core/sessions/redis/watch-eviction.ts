import type { Logger } from '#libs/log/logger.ts';
import type { RedisConnection } from '#libs/redis/connection.ts';

/** Milliseconds between two looks. */
const lookEvery = 15_000;

/** Looks whether Redis may throw locks away to make room. */
export interface EvictionWatch {
  /** Why locks cannot be relied on; undefined where they can, and while it is not known. */
  reason(): string | undefined;
  /** Looks now. */
  look(): Promise<void>;
  close(): void;
}

export function watchEviction(redis: RedisConnection, log: Logger): EvictionWatch {
  let reason: string | undefined;

  async function look(): Promise<void> {
    const policies = (await redis.info('memory')).map(evictionPolicy);
    const evicting = policies.find((policy) => policy !== undefined);
    const before = reason;
    reason =
      evicting === undefined
        ? undefined
        : `Redis has maxmemory-policy ${evicting} and may drop locks; set maxmemory-policy noeviction`;
    if (reason !== undefined && before === undefined) log.error(`writes are refused: ${reason}`);
    if (reason === undefined && before !== undefined) log.info('Redis evicts no locks any more');
  }
  const lookQuietly = () => {
    // That Redis is away is said elsewhere.
    look().catch(() => {});
  };
  lookQuietly();
  const timer = setInterval(lookQuietly, lookEvery).unref();
  return { reason: () => reason, look, close: () => clearInterval(timer) };
}

/** @returns undefined where nothing is ever evicted */
function evictionPolicy(info: string): string | undefined {
  const value = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1];
  const policy = value('maxmemory_policy');
  return value('maxmemory') === '0' || policy === 'noeviction' ? undefined : policy;
}
