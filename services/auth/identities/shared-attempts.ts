/** Several who ask for the very same at the same time share one attempt. */
export interface SharedAttempts<Result> {
  /**
   * @param signal aborted when this one no longer waits; the work is told when nobody does
   * @throws whatever the work throws; the signal's reason
   */
  run(
    key: string,
    signal: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Result>;
}

interface Attempt<Result> {
  result: Promise<Result>;
  waiting: number;
  controller: AbortController;
}

export function createSharedAttempts<Result>(): SharedAttempts<Result> {
  const running = new Map<string, Attempt<Result>>();

  function start(key: string, work: (signal: AbortSignal) => Promise<Result>): Attempt<Result> {
    const controller = new AbortController();
    const result = work(controller.signal);
    const attempt: Attempt<Result> = { result, waiting: 0, controller };
    running.set(key, attempt);
    const over = () => {
      if (running.get(key) === attempt) running.delete(key);
    };
    result.then(over, over);
    return attempt;
  }

  return {
    async run(key, signal, work) {
      signal?.throwIfAborted();
      const attempt = running.get(key) ?? start(key, work);
      attempt.waiting += 1;
      const left = Promise.withResolvers<never>();
      const leave = () => left.reject(signal?.reason);
      signal?.addEventListener('abort', leave, { once: true });
      try {
        return await Promise.race([attempt.result, left.promise]);
      } finally {
        signal?.removeEventListener('abort', leave);
        attempt.waiting -= 1;
        if (attempt.waiting === 0) {
          attempt.controller.abort(signal?.reason);
          // Whoever comes now begins anew.
          if (running.get(key) === attempt) running.delete(key);
        }
      }
    },
  };
}
