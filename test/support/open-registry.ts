import {
  createRegistry,
  type Registry,
  type RegistryOptions,
} from '../../services/core/registry/registry.ts';
import { createEmbeddedSessionStore } from '../../services/core/sessions/embedded.ts';
import { createEmbeddedLocks } from '../../services/core/sessions/embedded-locks.ts';
import type { StorageDriver } from '../../services/core/storage/driver.ts';

/** The registry of a core that has just started: it knows what the storage holds, and nothing else. */
export function openRegistry(
  driver: StorageDriver,
  options: Partial<Omit<RegistryOptions, 'driver'>> = {},
): Registry {
  return createRegistry({
    driver,
    sessions: createEmbeddedSessionStore(),
    locks: createEmbeddedLocks(),
    ...options,
  });
}
