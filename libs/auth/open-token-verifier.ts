import type { InternalClient } from '#libs/internal/client.ts';
import type { Logger } from '#libs/log/logger.ts';
import type { ExternalIssuer } from './external-issuer-keys.ts';
import { followKeySet } from './follow-key-set.ts';
import { createVerifier, type Verifier } from './verify.ts';

/** Verifies the tokens that a process accepts, as it is configured. */
export interface TokenVerifier {
  /** Of tokens of our own token service, or of an external issuer. */
  verifier: Verifier;
  /** Why tokens cannot be verified yet; undefined once they can. */
  reason(): string | undefined;
  /** Fetches the keys now, because something changed. */
  refresh(): Promise<void>;
  close(): void;
}

/**
 * @param auth the way to our own token service, if there is one
 * @returns undefined for an open registry
 * @throws Error with one clear sentence if a file of `auth.token` cannot be used
 */
export async function openTokenVerifier(
  settings: {
    /** Our own token service, if there is one. */
    auth: { issuer: string; service: string } | undefined;
    externalIssuer: ExternalIssuer | undefined;
  },
  auth: InternalClient | undefined,
  log: Logger,
): Promise<TokenVerifier | undefined> {
  const { auth: own, externalIssuer } = settings;
  if (own !== undefined && auth !== undefined) {
    const { keys, reason, refresh, close } = followKeySet(auth, log);
    const verifier = createVerifier({ keys, issuer: own.issuer, audience: own.service });
    return { verifier, reason, refresh, close };
  }
  if (externalIssuer === undefined) return undefined;
  const { issuer, service: audience, algorithms } = externalIssuer;
  // Loaded where it is needed: what reads certificates is large.
  const { openExternalIssuerKeys } = await import('./external-issuer-keys.ts');
  const { keys, reason, close } = await openExternalIssuerKeys(externalIssuer, log);
  const verifier = createVerifier({ keys, issuer, audience, algorithms });
  return { verifier, reason, refresh: async () => {}, close };
}
