import type { Settings } from '#libs/config/settings.ts';
import type { HopClient } from '#libs/hop/client.ts';
import type { Logger } from '#libs/log/logger.ts';
import { openForeignTrust } from './foreign-trust.ts';
import { followTrust } from './remote-trust.ts';
import { createVerifier, type Verifier } from './verify.ts';

/** Whom a process believes, as the configuration has it. */
export interface OpenTrust {
  /** Judges tokens: of our own token service, or of another server. */
  verifier: Verifier;
  /** Why tokens cannot be judged yet; undefined once they can. */
  reason(): string | undefined;
  /** Looks now, because something changed. */
  refresh(): Promise<void>;
  close(): void;
}

/**
 * @param auth the way to our own token service, if there is one
 * @returns undefined for an open registry
 * @throws Error with one clear sentence if a file of `auth.token` cannot be used
 */
export async function openTrust(
  settings: Pick<Settings, 'auth' | 'foreign'>,
  auth: HopClient | undefined,
  log: Logger,
): Promise<OpenTrust | undefined> {
  const { auth: own, foreign } = settings;
  if (own !== undefined && auth !== undefined) {
    const { keys, reason, refresh, close } = followTrust(auth, log);
    const verifier = createVerifier({ keys, issuer: own.issuer, audience: own.service });
    return { verifier, reason, refresh, close };
  }
  if (foreign === undefined) return undefined;
  const { issuer, service: audience, algorithms } = foreign;
  const { keys, reason, close } = await openForeignTrust(foreign, log);
  const verifier = createVerifier({ keys, issuer, audience, algorithms });
  return { verifier, reason, refresh: async () => {}, close };
}
