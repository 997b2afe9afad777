import type { Logger } from '#libs/log/logger.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { type HealthCheck, watchCheck } from './watch-check.ts';

/** What decides whether requests are served. */
export interface Health {
  /** Failing checks by name, each with its error; empty while all is good. */
  failing(): Record<string, string>;
  /** Which checks fail, in a few words; undefined while all is good. */
  reason(): string | undefined;
  /** @throws RegistryError UNAVAILABLE while unhealthy */
  assertHealthy(): void;
  close(): void;
}

export interface HealthOptions {
  checks: readonly HealthCheck[];
  log: Logger;
}

/** The `health` section: while a check fails every request gets 503, as distribution does. */
export function createHealth({ checks, log }: HealthOptions): Health {
  const watched = checks.map((check) => watchCheck(check, log));

  function failing(): Record<string, string> {
    const errors: Record<string, string> = {};
    for (const { name, error } of watched) {
      const message = error();
      if (message !== undefined) errors[name] = message;
    }
    return errors;
  }

  return {
    failing,
    reason() {
      const names = Object.keys(failing());
      return names.length === 0 ? undefined : `failing checks: ${names.join(', ')}`;
    },
    assertHealthy() {
      const failed = watched.find(({ error }) => error() !== undefined);
      // Names and errors may tell of our surroundings, and are for those who run the registry.
      const message = failed?.publicMessage;
      if (message !== undefined)
        throw new RegistryError('UNAVAILABLE', { message, retryAfter: 10 });
    },
    close() {
      for (const one of watched) one.close();
    },
  };
}
