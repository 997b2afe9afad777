import { createLocalJWKSet, errors, type JSONWebKeySet } from 'jose';
import type { HopClient } from '#libs/hop/client.ts';
import type { Logger } from '#libs/log/logger.ts';
import { mergeTrust, type Trust, trustSchema } from './trust.ts';
import { KeysUnknownError, type TrustedKeys } from './verify.ts';

/** Milliseconds between two looks at what auth says; bounds how long a removed user stays in. */
const pollInterval = 4000;
/** The same while nothing is known yet. */
const firstInterval = 500;
/** Milliseconds within which an unknown key id makes us ask at most once. */
const refreshLimit = 1000;

export interface RemoteTrust {
  keys: TrustedKeys;
  policyVersion(): string;
  /** Why tokens cannot be judged yet; undefined once keys are known. */
  reason(): string | undefined;
  /** Looks now, because something changed. */
  refresh(): Promise<void>;
  close(): void;
}

/**
 * Follows auth's keys and revocations. Starts without them and goes on with the last known ones while
 * auth is away: tokens already issued stay good until they expire.
 * Of several auths all are asked, and what any of them revokes is revoked.
 */
export function followTrust(auth: HopClient, log: Logger): RemoteTrust {
  let trust: Trust | undefined;
  let find: ReturnType<typeof createLocalJWKSet> | undefined;
  let lastAsked = 0;
  let asking: Promise<void> | undefined;
  let away = false;

  async function ask(): Promise<void> {
    lastAsked = Date.now();
    try {
      const answers = await auth.callAll({ method: 'GET', path: '/internal/trust', timeout: 5000 });
      const good = answers.filter(({ status }) => status === 200);
      if (good.length === 0) {
        throw new Error(`auth answered ${answers[0]?.status ?? 'nothing'}`);
      }
      trust = good.map(({ body }) => trustSchema.parse(JSON.parse(body))).reduce(mergeTrust);
      find = createLocalJWKSet({ keys: trust.keys } as JSONWebKeySet);
      if (away) log.info('auth answers again');
      away = false;
    } catch (error) {
      if (!away) log.warn({ err: error }, 'auth does not answer; known keys stay in use');
      away = true;
    }
  }

  function refresh(): Promise<void> {
    asking ??= ask().finally(() => {
      asking = undefined;
    });
    return asking;
  }

  void refresh();
  // Until there is something to judge by, it is asked more often.
  const timer = setInterval(() => {
    if (find === undefined || Date.now() - lastAsked >= pollInterval) void refresh();
  }, firstInterval).unref();

  const keys: TrustedKeys = {
    async find(header) {
      if (find === undefined) await refresh();
      const id = header.kid ?? '';
      try {
        if (find === undefined) throw new KeysUnknownError('no token service has answered yet');
        return { key: await find(header), id };
      } catch (error) {
        const other = !(error instanceof errors.JWKSNoMatchingKey);
        if (other || Date.now() - lastAsked < refreshLimit) throw error;
        await refresh();
        if (find === undefined) throw error;
        return { key: await find(header), id };
      }
    },
    trusts(kid) {
      const key = trust?.keys.find((one) => one.kid === kid);
      if (key === undefined) return undefined;
      return key.uploadsOnly === true ? 'uploads' : 'tokens';
    },
    notBefore: (subject) =>
      trust !== undefined && Object.hasOwn(trust.revoked, subject)
        ? trust.revoked[subject]
        : undefined,
  };

  return {
    keys,
    refresh,
    reason: () => (find === undefined ? 'no token service has answered yet' : undefined),
    policyVersion: () => trust?.policyVersion ?? '',
    close: () => clearInterval(timer),
  };
}
