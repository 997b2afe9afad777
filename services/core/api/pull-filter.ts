/** Tells which repositories a subject may pull. */
export interface PullFilter {
  /** @returns one answer for each name, in order; at most 1000 names a call */
  mayPull(subject: string, names: readonly string[]): Promise<boolean[]>;
}
