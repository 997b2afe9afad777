/** Milliseconds within which an answer is read that tells of now. */
const fresh = 200;

/** Answers in turn that may be late before one that is late counts: whoever answers is slow. */
const maxLate = 3;

/** Answers in turn of which none was of use: no other one would be. */
const maxUseless = 6;

export interface AskOptions {
  /** Milliseconds; an answer that is older tells of nothing. */
  longest: number;
  /** Milliseconds on a clock that only goes on. */
  now?: () => number;
}

/** Whoever is asked answers too late, each time. */
export class AnswersLateError extends Error {}

/**
 * Asks whether the next step may be made. An answer that lay unread while this process was held up tells of before: it
 * is asked for again.
 * @param ask throws if the step may not be made
 * @throws AnswersLateError
 */
export async function askFreshly(
  ask: () => Promise<unknown>,
  { longest, now = () => performance.now() }: AskOptions,
): Promise<void> {
  for (let late = 0; late <= maxUseless; late += 1) {
    const askedAt = now();
    await ask();
    const took = now() - askedAt;
    if (took < fresh || (took < longest && late >= maxLate)) return;
  }
  throw new AnswersLateError('answers about the lock come too late to rely on');
}
