import { createEmbeddedSessionStore } from './embedded.ts';
import { createEmbeddedLocks } from './embedded-locks.ts';
import type { Locks } from './locks.ts';
import type { SessionStore } from './session-store.ts';

/** What makes requests wait for each other, and remembers uploads. */
export interface Coordination {
  sessions: SessionStore;
  locks: Locks;
}

/** The coordination that the configuration asks for: one core coordinates by itself. */
export function createCoordination(): Coordination {
  return { sessions: createEmbeddedSessionStore(), locks: createEmbeddedLocks() };
}
