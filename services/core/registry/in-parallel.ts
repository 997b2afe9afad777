/**
 * Does something for each of many, a few at once, in order of their beginning. Begins no further one when
 * the action says that it is enough, when one fails, or when the signal is aborted.
 * @param action gives whether further ones are to begin
 * @throws what the action throws first; what the signal was aborted with
 */
export async function inParallel<T>(
  items: readonly T[],
  { atOnce, signal }: { atOnce: number; signal?: AbortSignal | undefined },
  action: (item: T) => Promise<boolean>,
): Promise<void> {
  let next = 0;
  let enough = false;
  const work = async () => {
    while (!enough && next < items.length) {
      signal?.throwIfAborted();
      const item = items[next] as T;
      next += 1;
      if (!(await action(item))) enough = true;
    }
  };
  const workers = Array.from({ length: Math.min(atOnce, items.length) }, () =>
    work().catch((error: unknown) => {
      enough = true;
      throw error;
    }),
  );
  // Whoever asked hears of a failure only when nothing of it goes on any more.
  const outcomes = await Promise.allSettled(workers);
  const failed = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}
