import { createEmbeddedSessionStore } from './embedded.ts';
import type { SessionStore } from './session-store.ts';

/** The session store that the configuration asks for: one core coordinates by itself. */
export function createSessionStore(): SessionStore {
  return createEmbeddedSessionStore();
}
