import { setImmediate as nextLoopTurn, setTimeout as sleep } from 'node:timers/promises';
import { createTurns } from './turns.ts';

/** Bytes of JSON from which on parsing takes long enough for others to notice. */
const large = 64 * 1024;

/** For whom something is done, and how long it is wanted. */
export interface TurnOptions {
  /** Who shares the turns with others: an account or a network; what names none is one of them. */
  party?: string | undefined;
  signal?: AbortSignal | undefined;
}

const waiting = createTurns<() => void>();
let isTaken = false;

function giveNextTurn(): void {
  const next = waiting.next();
  if (next === undefined) isTaken = false;
  else next();
}

async function turnOf(party: string): Promise<void> {
  if (!isTaken) {
    isTaken = true;
    return;
  }
  await new Promise<void>((resolve) => waiting.add(resolve, party));
}

/**
 * Does what keeps the event loop busy for a while: one at a time, of each party in turn, and before the next the loop
 * is everybody else's for as long as it took.
 * @throws what the work throws; what the signal was aborted with before it began
 */
export async function inTurn<T>(
  work: () => T,
  { party = '', signal }: TurnOptions = {},
): Promise<T> {
  await turnOf(party);
  await nextLoopTurn();
  const startedAt = performance.now();
  try {
    signal?.throwIfAborted();
    return work();
  } finally {
    const took = performance.now() - startedAt;
    // Work that was not wanted any more took nothing.
    if (took < 1) giveNextTurn();
    else void sleep(took).then(giveNextTurn);
  }
}

/**
 * Parses JSON: in turn where it is large, at once where it is not.
 * @throws what `parse` throws; what the signal was aborted with before it began
 */
export async function parseInTurn<T>(
  bytes: Buffer,
  parse: (bytes: Buffer) => T,
  options: TurnOptions = {},
): Promise<T> {
  if (bytes.length > large) return await inTurn(() => parse(bytes), options);
  options.signal?.throwIfAborted();
  return parse(bytes);
}

/** Milliseconds that a row of small things may take at once. */
const brief = 1;

/**
 * Does one thing for each of a row: all at once where that takes little, and what is left then in turn, a few at a time.
 * @throws what the work throws; what the signal was aborted with meanwhile
 */
export async function eachInTurn<Item, Result>(
  items: readonly Item[],
  work: (item: Item) => Result,
  options: TurnOptions = {},
): Promise<Result[]> {
  const results: Result[] = [];
  const goOn = () => {
    const startedAt = performance.now();
    while (results.length < items.length && performance.now() - startedAt <= brief) {
      results.push(work(items[results.length] as Item));
    }
  };
  options.signal?.throwIfAborted();
  goOn();
  while (results.length < items.length) await inTurn(goOn, options);
  return results;
}
