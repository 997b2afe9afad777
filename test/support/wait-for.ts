import { setTimeout as sleep } from 'node:timers/promises';

/** Looks again and again until there is something, and gives it. @throws Error when time is over */
export async function waitFor<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  timeout = 30_000,
): Promise<T> {
  const deadline = performance.now() + timeout;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`waited ${timeout} ms in vain for ${what}`);
    await sleep(20);
  }
}
