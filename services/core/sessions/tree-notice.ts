import type { RedisConnection, RedisScript } from '#libs/redis/connection.ts';

const key = 'portcullis:tree';
/** Seconds for which a core's word is good. */
const lifetime = 60;
/** Milliseconds between two of them. */
const repeatEvery = 20_000;

const readScript: RedisScript = {
  name: 'portcullis_tree_read',
  lua: "return redis.call('EXISTS', KEYS[1])",
};
/** ARGV: seconds. */
const noteScript: RedisScript = {
  name: 'portcullis_tree_note',
  lua: "redis.call('SET', KEYS[1], '1', 'EX', ARGV[1])\nreturn 1",
};

/**
 * Whether another core of this Redis has its storage: one that finds none is on a machine where the filesystem is not
 * mounted, and not the first of a new registry. False where Redis does not answer.
 */
export async function haveOthersTree(redis: RedisConnection): Promise<boolean> {
  return (await redis.run(readScript, [key], []).catch(() => 0)) === 1;
}

/** Says that this core has its storage, from the moment on when it is seen. @returns a function that ends that */
export function noteTree(redis: RedisConnection, seen: Promise<void>): () => void {
  let timer: NodeJS.Timeout | undefined;
  let isOver = false;
  // That Redis is away is said elsewhere.
  const note = () => void redis.run(noteScript, [key], [lifetime]).catch(() => {});
  void seen.then(() => {
    if (isOver) return;
    note();
    timer = setInterval(note, repeatEvery).unref();
  });
  return () => {
    isOver = true;
    clearInterval(timer);
  };
}
