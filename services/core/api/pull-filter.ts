import type { Principal } from './handler.ts';

/** Tells which repositories a caller may pull. */
export interface PullFilter {
  /**
   * @param signal aborted when nobody waits for the answer any more
   * @returns one answer for each name, in order; at most 1000 names a call
   */
  mayPull(principal: Principal, names: readonly string[], signal: AbortSignal): Promise<boolean[]>;
}
