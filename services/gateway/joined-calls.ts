import { mostJoined } from '#libs/http/internal-protocol.ts';

/** Who waits for an answer. */
export interface Asker {
  requestId: string;
  /** Aborted when nobody waits any more. */
  signal?: AbortSignal | undefined;
}

/**
 * Asks another process once for several who ask the same: while one call is under way, those who come wait for the next one, which
 * is for all of them. So each is answered by what was decided after it came, as if it had been asked for alone.
 */
export interface JoinedCalls<Answer> {
  /**
   * @param key the same for those who ask the same
   * @param ask asks for those with these request ids, of which the one who waited longest has waited for so many milliseconds;
   *   its signal is aborted when all of them have left
   * @returns the answer, and whether the call was made in this asker's name: each has one such
   * @throws what `ask` throws; what the asker's signal was aborted with
   */
  call(key: string, asker: Asker, ask: Ask<Answer>): Promise<{ answer: Answer; isFirst: boolean }>;
}

type Ask<Answer> = (
  requestIds: readonly string[],
  signal: AbortSignal,
  waited: number,
) => Promise<Answer>;

/** @param most askers of one call */
export function createJoinedCalls<Answer>(most: number = mostJoined): JoinedCalls<Answer> {
  /** By key, what waits behind the call that is under way. */
  const lines = new Map<string, Batch<Answer>[]>();

  async function run(key: string, batch: Batch<Answer>): Promise<void> {
    for (let next: Batch<Answer> | undefined = batch; next !== undefined; ) {
      await next.ask();
      next = lines.get(key)?.shift();
    }
    lines.delete(key);
  }

  return {
    async call(key, asker, ask) {
      asker.signal?.throwIfAborted();
      const line = lines.get(key);
      // Those that all have left are not asked any more.
      while (line?.at(-1)?.isLeft === true) line.pop();
      const last = line?.at(-1);
      const batch = last !== undefined && last.size < most ? last : new Batch(ask);
      const answer = batch.join(asker);
      if (line === undefined) {
        lines.set(key, []);
        void run(key, batch);
      } else if (batch !== last) line.push(batch);
      return { answer: await answer, isFirst: batch.first === asker };
    },
  };
}

/** One call, and those who wait for it. */
class Batch<Answer> {
  readonly #ask: Ask<Answer>;
  readonly #began = performance.now();
  readonly #askers = new Set<Asker>();
  readonly #answer = Promise.withResolvers<Answer>();
  readonly #left = new AbortController();
  /** In whose name it is asked, once it is. */
  first: Asker | undefined;

  constructor(ask: Ask<Answer>) {
    this.#ask = ask;
    // Perhaps all have left.
    this.#answer.promise.catch(() => {});
  }

  /** Whether all have left. */
  get isLeft(): boolean {
    return this.#left.signal.aborted;
  }

  get size(): number {
    return this.#askers.size;
  }

  async join(asker: Asker): Promise<Answer> {
    const { signal } = asker;
    this.#askers.add(asker);
    if (signal === undefined) return await this.#answer.promise;
    const leaving = Promise.withResolvers<never>();
    const leave = () => {
      this.#askers.delete(asker);
      if (this.#askers.size === 0) this.#left.abort(signal.reason);
      leaving.reject(signal.reason);
    };
    signal.addEventListener('abort', leave, { once: true });
    try {
      return await Promise.race([this.#answer.promise, leaving.promise]);
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }

  /** Never rejects. */
  async ask(): Promise<void> {
    try {
      this.#left.signal.throwIfAborted();
      [this.first] = this.#askers;
      const requestIds = [...this.#askers].map(({ requestId }) => requestId);
      const waited = performance.now() - this.#began;
      this.#answer.resolve(await this.#ask(requestIds, this.#left.signal, waited));
    } catch (error) {
      this.#answer.reject(error as Error);
    }
  }
}
