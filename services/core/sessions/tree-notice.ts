import { setTimeout as sleep } from 'node:timers/promises';
import type { KnownFolder } from '#libs/files/known-folder.ts';
import type { RedisConnection, RedisScript } from '#libs/redis/connection.ts';

const key = 'portcullis:tree';

/** Seconds for which a core's word is good. */
const lifetime = 60;
/** Milliseconds between two of them: a Redis that lost its memory has them again so soon. */
const repeatEvery = 500;
/** Milliseconds after which one is asked again that knew of none. */
const askAgainAfter = 700;
/** Milliseconds that a start waits for a Redis that may be starting as well. */
const longestWait = 30_000;

const readScript: RedisScript = {
  name: 'portcullis_tree_read',
  lua: "return redis.call('EXISTS', KEYS[1])",
};
/** ARGV: seconds. */
const noteScript: RedisScript = {
  name: 'portcullis_tree_note',
  lua: "redis.call('SET', KEYS[1], '1', 'EX', ARGV[1])\nreturn 1",
};
const withdrawScript: RedisScript = {
  name: 'portcullis_tree_withdraw',
  lua: "return redis.call('DEL', KEYS[1])",
};

/**
 * Whether another core of the same registry has its storage: one that finds none is on a machine where the filesystem is not
 * mounted, and not the first of a new registry.
 * @param folder that would be made, for the error
 * @throws Error with one clear sentence if Redis does not tell
 */
export async function isTreeNoted(redis: RedisConnection, folder: string): Promise<boolean> {
  const began = performance.now();
  let why = '';
  for (let answers = 0; answers < 2; ) {
    const found = await redis.run(readScript, [key], []).catch(({ message, cause }: Error) => {
      why = (cause as Error | undefined)?.message ?? message;
      return undefined;
    });
    if (found === 1) return true;
    if (found !== undefined) answers += 1;
    if (performance.now() - began > longestWait) {
      throw new Error(
        `${folder} does not exist, and Redis does not tell whether other cores have it (${why}); have Redis answer, or mount the filesystem`,
      );
    }
    if (answers < 2) await sleep(askAgainAfter);
  }
  return false;
}

/**
 * Says that this core has its storage, from the moment on when it is seen.
 * @returns a function that ends that; other cores go on to say it
 */
export function noteTree(
  redis: RedisConnection,
  tree: Pick<KnownFolder, 'follow'>,
): () => Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  let isOver = false;
  // That Redis is away is said elsewhere.
  const note = () => void redis.run(noteScript, [key], [lifetime]).catch(() => {});
  tree.follow(() => {
    if (isOver || timer !== undefined) return;
    note();
    timer = setInterval(note, repeatEvery).unref();
  });
  return async () => {
    isOver = true;
    if (timer === undefined) return;
    clearInterval(timer);
    await redis.run(withdrawScript, [key], []).catch(() => {});
  };
}
