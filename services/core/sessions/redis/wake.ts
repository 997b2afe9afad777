import { setTimeout as sleep } from 'node:timers/promises';
import type { RedisConnection } from '#libs/redis/connection.ts';

/** The channel of all messages between cores. */
export const wakeChannel = 'portcullis:wake';

/** Milliseconds between two looks of one who waits; a message makes it sooner. */
const lookEvery = 250;

/** Messages from core to core; any of them may be lost. */
export interface Wake {
  /** Calls back at each message about a thing, until the function returned is called. */
  on(message: string, listener: () => void): () => void;
  /** Resolves at the message, when it is time to look anyway, or when the signal is aborted. */
  next(message: string, signal: AbortSignal): Promise<void>;
}

export function createWake(redis: RedisConnection): Wake {
  const listeners = new Map<string, Set<() => void>>();
  redis.subscribe(wakeChannel, (message) => {
    for (const listener of [...(listeners.get(message) ?? [])]) listener();
  });

  function on(message: string, listener: () => void): () => void {
    const known = listeners.get(message) ?? new Set();
    known.add(listener);
    listeners.set(message, known);
    return () => {
      known.delete(listener);
      if (known.size === 0 && listeners.get(message) === known) listeners.delete(message);
    };
  }

  return {
    on,
    async next(message, signal) {
      const heard = new AbortController();
      const wake = () => heard.abort();
      const forget = on(message, wake);
      signal.addEventListener('abort', wake);
      if (signal.aborted) wake();
      try {
        await sleep(lookEvery * (0.75 + Math.random() / 2), undefined, { signal: heard.signal });
      } catch {
        // Heard.
      } finally {
        forget();
        signal.removeEventListener('abort', wake);
      }
    },
  };
}
