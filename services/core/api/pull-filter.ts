import type { Asker } from './handler.ts';

/** Tells which repositories a caller may pull. */
export interface PullFilter {
  /** @returns one answer for each name, in order; at most 1000 names a call */
  mayPull(asker: Asker, names: readonly string[]): Promise<boolean[]>;
}
