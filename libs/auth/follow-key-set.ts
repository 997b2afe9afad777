import { createLocalJWKSet, errors, type JSONWebKeySet } from 'jose';
import { internalPaths } from '#libs/api/internal-paths.ts';
import type { InternalClient } from '#libs/internal/client.ts';
import type { Logger } from '#libs/log/logger.ts';
import { type KeySet, keySetSchema, mergeKeySets } from './key-set.ts';
import { KeysUnknownError, type TrustedKeys } from './verify.ts';

/** Said as long as the keys are not known; a token service tells them only to who has its `http.secret`. */
const noneAnswered =
  'no token service has answered yet; it must run, and have the same http.secret';

/** Milliseconds between two looks at what auth says; bounds how long a removed user stays in. */
const pollInterval = 2000;
/** The same while nothing is known yet; doubles from the first on. */
const firstInterval = { least: 25, most: 500 };
/** Looks in vain at a start before it is said: the processes of one registry start side by side. */
const quietLooks = 14;
/** Milliseconds within which an unknown key id makes us ask at most once. */
const refreshLimit = 1000;

export interface FollowedKeySet {
  keys: TrustedKeys;
  policyVersion(): string;
  /** Why tokens cannot be verified yet; undefined once keys are known. */
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
export function followKeySet(auth: InternalClient, log: Logger): FollowedKeySet {
  let keySet: KeySet | undefined;
  let find: ReturnType<typeof createLocalJWKSet> | undefined;
  let lastAsked = Number.NEGATIVE_INFINITY;
  /** When we asked last because of an unknown key id. */
  let lastUnknown = Number.NEGATIVE_INFINITY;
  let asking: Promise<void> | undefined;
  /** Settled when the last look for an unknown key id is over. */
  let asked: Promise<void> | undefined;
  let away = false;
  let looks = 0;

  async function ask(): Promise<void> {
    lastAsked = performance.now();
    looks += 1;
    try {
      const answers = await auth.callAll({
        method: 'GET',
        path: internalPaths.keySet,
        timeout: 5000,
      });
      const good = answers.filter(({ status }) => status === 200);
      if (good.length === 0) {
        throw new Error(`auth answered ${answers[0]?.status ?? 'nothing'}`);
      }
      keySet = good.map(({ body }) => keySetSchema.parse(JSON.parse(body))).reduce(mergeKeySets);
      find = createLocalJWKSet({ keys: keySet.keys } as JSONWebKeySet);
      if (away) log.info('auth answers again');
      away = false;
    } catch (error) {
      if (keySet === undefined && looks <= quietLooks) return;
      const known = keySet === undefined ? 'no token can be checked' : 'known keys stay in use';
      const why = (error as Error).message;
      if (!away) log.warn({ why }, `auth does not answer; ${known}`);
      log.debug({ err: error }, 'auth does not answer');
      away = true;
    }
  }

  function askOnce(): Promise<void> {
    asking ??= ask().finally(() => {
      asking = undefined;
    });
    return asking;
  }

  /** What was asked before may be answered without what changed since. */
  async function refresh(): Promise<void> {
    await asking;
    await askOnce();
  }

  let pause = firstInterval.least;
  let timer: NodeJS.Timeout;
  // As long as there are no keys, it is asked more often.
  function look(): void {
    if (find === undefined || performance.now() - lastAsked >= pollInterval) void askOnce();
    timer = setTimeout(look, pause).unref();
    pause = Math.min(firstInterval.most, pause * 2);
  }
  look();

  const keys: TrustedKeys = {
    async find(header) {
      if (find === undefined) await askOnce();
      const id = header.kid ?? '';
      try {
        if (find === undefined) throw new KeysUnknownError(noneAnswered);
        return { key: await find(header), id };
      } catch (error) {
        const other = !(error instanceof errors.JWKSNoMatchingKey);
        if (other) throw error;
        if (performance.now() - lastUnknown >= refreshLimit) {
          lastUnknown = performance.now();
          asked = refresh();
        }
        // Whoever comes while it is asked for waits with the first; later ones know the answer already.
        await asked;
        if (find === undefined) throw error;
        return { key: await find(header), id };
      }
    },
    trusts(kid) {
      const key = keySet?.keys.find((one) => one.kid === kid);
      if (key === undefined) return undefined;
      return key.uploadsOnly === true ? 'uploads' : 'tokens';
    },
    notBefore: (subject) =>
      keySet !== undefined && Object.hasOwn(keySet.revoked, subject)
        ? keySet.revoked[subject]
        : undefined,
  };

  return {
    keys,
    refresh,
    reason: () => (find === undefined ? noneAnswered : undefined),
    policyVersion: () => keySet?.policyVersion ?? '',
    close: () => clearTimeout(timer),
  };
}
