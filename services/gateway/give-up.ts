import type { RouteMatch } from '#libs/api/match-route.ts';
import type { Instance } from '#libs/internal/instance.ts';
import type { RedisConnection } from '#libs/redis/connection.ts';
import { giveUp } from '#libs/redis/give-up.ts';

/** A request to a core that might still be carried out although there was no answer. */
export interface UnansweredRequest {
  /** Names the attempt, as the core was told. */
  attempt: string;
  match: RouteMatch;
  /** The core that has it. */
  instance: Instance;
}

/**
 * Makes sure that a request is not carried out after its client was told so. Its connection to the core is
 * closed already.
 * @returns false if that cannot be promised; then the client must not be told
 */
export type GiveUp = (request: UnansweredRequest) => Promise<boolean>;

/**
 * A core on this machine sees the end of the connection before each step that others can see. One elsewhere may not,
 * having been cut off or stopped with its machine; it looks in Redis before each such step. There the next one to write to
 * an upload also looks whether what came last was refused, wherever that core is: it may have counted it just before.
 */
export function createGiveUp(redis: RedisConnection | undefined): GiveUp {
  return async ({ attempt, match, instance }) => {
    const isHere = instance.target.socketPath != null;
    if (redis === undefined) return isHere;
    const { name, session } = match.params;
    // As the locks are called that the core asks for.
    const things: string[] = [name];
    if (session !== undefined) things.push(session);
    try {
      await Promise.all(things.map((thing) => giveUp(redis, thing, attempt)));
      return true;
    } catch {
      return isHere;
    }
  };
}
