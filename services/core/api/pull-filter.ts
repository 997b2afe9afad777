import type { Principal } from './handler.ts';

/** Tells which repositories a caller may pull. */
export interface PullFilter {
  /** @returns one answer for each name, in order; at most 1000 names a call */
  mayPull(principal: Principal, names: readonly string[]): Promise<boolean[]>;
}
