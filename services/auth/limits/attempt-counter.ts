/** How many attempts one key may have within the window. */
export interface Budget {
  key: string;
  /** 0 counts without a limit. */
  most: number;
}

/** Attempts taken from their budgets, until it is known what came of them. */
export interface Reservation {
  ok: true;
  /** About how many each budget had before, in the order of the budgets. */
  before: readonly number[];
  /** It failed: it stays counted. */
  keep(): Promise<void>;
  /** It was right, or did not take place: it was never there. */
  giveBack(): Promise<void>;
}

export interface Refusal {
  ok: false;
  /** The budget that has none left. */
  key: string;
  /** True if some of what it counts is still under way, and may be given back soon. */
  busy: boolean;
  /** Milliseconds until there is room again if nothing is given back. */
  retryAfter: number;
}

/** Counts attempts by key in a window of time that slides: those that failed, and those under way. */
export interface AttemptCounter {
  /**
   * Takes one from each of these budgets in one step, or from none.
   * @param group what the keys have in common; two groups are not taken from in one step
   */
  reserve(group: string, budgets: readonly Budget[]): Promise<Reservation | Refusal>;
}

/** Counts of a period and of the one before, of which the part counts that the window still covers. */
export interface Counts {
  period: number;
  current: number;
  previous: number;
  /** Of these, so many are under way. */
  reserved: number;
}

/** About how many there were within the last window. @param passed part of this period that is over */
export function estimate(
  { current, previous }: Pick<Counts, 'current' | 'previous'>,
  passed: number,
): number {
  return current + previous * (1 - passed);
}

/** Milliseconds until a budget that has none left has one again. */
export function timeUntilRoom(time: number, window: number): number {
  // When the next period begins, what this one counted begins to fade.
  return window - (time % window) + 1;
}
