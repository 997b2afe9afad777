import type { RedisConnection, RedisScript } from './connection.ts';

/** Milliseconds for which a request that was given up is remembered: longer than any process is held up. */
const remembered = 24 * 60 * 60 * 1000;

const giveUpScript: RedisScript = {
  name: 'portcullis_give_up',
  lua: `redis.call('SET', KEYS[1], '1', 'PX', ARGV[1]) return 1`,
};

/**
 * The key that says that a request is not to be carried out any more.
 * @param thing what it would change: the repository's name or the upload's id, as its lock is called
 * @param id names the attempt, see `internalHeaders.attempt`
 */
export function givenUpKey(thing: string, id: string): string {
  return `portcullis:given-up:{${thing}}:${id}`;
}

/**
 * Says that a request will not be waited for: what has not happened until this resolves never happens.
 * @throws RedisAwayError if it could not be said
 */
export async function giveUp(redis: RedisConnection, thing: string, id: string): Promise<void> {
  await redis.run(giveUpScript, [givenUpKey(thing, id)], [remembered]);
}
