/** What to do about an owner that is there. */
export type Advice = 'wait' | 'take over' | 'give up';

export interface WatchTimes {
  /** Milliseconds without a sign after which an owner of which nothing is proved is dead. */
  stillFor: number;
  /** Milliseconds to wait for a living one to go. */
  waitFor: number;
}

/** Judges by our own clock alone how long an owner has been still, and how long it was waited for. */
export function createOwnerWatch({ stillFor, waitFor }: WatchTimes) {
  let signs: string | undefined;
  let changedAt = 0;
  let since = 0;
  return {
    /**
     * @param seen changes while the owner lives
     * @param alive proved by something else than such a change
     * @param now milliseconds
     */
    observe(seen: string, alive: boolean, now: number): Advice {
      if (signs === undefined) since = now;
      if (alive || seen !== signs) changedAt = now;
      signs = seen;
      if (now - changedAt >= stillFor) return 'take over';
      return now - since >= waitFor ? 'give up' : 'wait';
    },
    /** Nobody is there any more. */
    forget() {
      signs = undefined;
    },
  };
}
