import { confirmWanted, type Requester } from '../locks.ts';

/** Milliseconds within which an answer is read that tells of now. */
const fresh = 200;

/** Answers in turn that may be late before one that is late counts: Redis itself is slow. */
const mostLate = 3;

/**
 * Asks Redis whether the next step may be made. An answer that lay unread while this process was held up tells of
 * before, and so does a connection whose end was not read yet: both are looked at again.
 * @param ask throws if the step may not be made
 * @param options.lease milliseconds of the lock that it is about; no answer older than half of it counts
 * @throws RequestGoneError, and what `ask` throws
 */
export async function confirmWith(
  ask: () => Promise<void>,
  { requester, lease, now }: { requester: Requester; lease: number; now: () => number },
): Promise<void> {
  await confirmWanted(requester);
  for (let late = 0; ; late += 1) {
    const askedAt = now();
    await ask();
    await confirmWanted(requester);
    const took = now() - askedAt;
    if (took < fresh || (took < lease / 2 && late >= mostLate)) return;
  }
}
