import { setImmediate as nextTurn } from 'node:timers/promises';

let last: Promise<void> = Promise.resolve();

/**
 * Resolves when it is the caller's turn to do what keeps the event loop busy for a while: one for each turn of
 * the loop, so that between two of them everybody else is served.
 */
export async function nextLoopTurn(): Promise<void> {
  const mine = last.then(() => nextTurn());
  last = mine;
  await mine;
}
