import { createHash, type KeyObject } from 'node:crypto';
import {
  type CryptoKey,
  decodeJwt,
  decodeProtectedHeader,
  errors,
  type JWTHeaderParameters,
  jwtVerify,
} from 'jose';
import { LRUCache } from 'lru-cache';
import { RegistryError } from '#libs/oci/errors.ts';
import { type Claims, claimsSchema } from './claims.ts';
import { describeTokenFault } from './describe-token-fault.ts';

/** How far two clocks may differ, in seconds; what distribution allows. */
const leeway = 60;

/** A key that a token's header led to. */
export interface FoundKey {
  key: KeyObject | CryptoKey | Uint8Array;
  /** For `trusts`, which is asked at each use of a token. */
  id: string;
}

/** The keys that a verifier trusts; they may change at any time. */
export interface TrustedKeys {
  /**
   * Finds the key for a token's header.
   * @throws UntrustedKeyError, KeysUnknownError
   */
  find(header: JWTHeaderParameters): Promise<FoundKey>;
  /** What a key is good for now: its tokens, only expired ones that finish an upload, or nothing. */
  trusts(id: string): 'tokens' | 'uploads' | undefined;
  /** Tokens of this subject issued before this time (seconds) are void; undefined: none are. */
  notBefore(subject: string): number | undefined;
}

export type Verification =
  | { ok: true; claims: Claims }
  /**
   * `expired` carries the claims of a token whose one and only fault is its age, `subject` is whose it is if its
   * signature holds. `isForged` where it says that it is from our issuer, and no trusted key has signed it; what is no token,
   * or another issuer's, is a mistake.
   */
  | { ok: false; why: string; expired?: Claims; subject?: string; isForged?: boolean };

export interface Verifier {
  /** Checks signature, issuer, audience, times, key and revocation. Never throws. */
  verify(token: string): Promise<Verification>;
}

export interface VerifierOptions {
  keys: TrustedKeys;
  issuer: string;
  /** The one service name tokens must be made for. */
  audience: string;
  /** Signature algorithms; ours alone unless it is said. */
  algorithms?: readonly string[];
  /** Milliseconds since the epoch. */
  now?: () => number;
}

interface Verified {
  claims: Claims;
  /** Of the key. */
  id: string;
}

/** What tokens that are remembered may have in all, in characters: those with many scopes are large. */
const remembered = { maxSize: 16 * 1024 * 1024 };
/** What each counts for besides, so that 10 000 are remembered at most. */
const leastSize = 1600;

/**
 * The one function by which the gateway and the core both verify a token. Signatures are checked once
 * per token; expiry, the key and revocation are checked every time.
 */
export function createVerifier({
  keys,
  issuer,
  audience,
  algorithms = ['ES256'],
  now = Date.now,
}: VerifierOptions): Verifier {
  const cache = new LRUCache<string, Verified>(remembered);

  async function checkSignature(token: string): Promise<Verified> {
    let id = '';
    const find = async (header: JWTHeaderParameters) => {
      const found = await keys.find(header);
      id = found.id;
      return found.key;
    };
    const { payload } = await jwtVerify(token, find, {
      issuer,
      audience,
      algorithms: [...algorithms],
      clockTolerance: leeway,
      // Expiry is checked by checkTimesAndRevocation(), so that an old but genuine token can be told from a forged one.
      currentDate: new Date(Math.min(now(), expiryOf(token) * 1000)),
    });
    return { claims: claimsSchema.parse(payload), id };
  }

  function checkTimesAndRevocation({ claims, id }: Verified): Verification {
    const seconds = now() / 1000;
    const trusted = keys.trusts(id);
    const { sub: subject } = claims;
    const untrusted = { ok: false, why: 'the signing key is no longer trusted', subject } as const;
    if (trusted === undefined) return untrusted;
    const notBefore = keys.notBefore(subject);
    if (notBefore !== undefined && claims.iat < notBefore) {
      return { ok: false, why: 'the token was revoked', subject };
    }
    if (claims.exp + leeway < seconds) {
      return { ok: false, why: 'the token has expired', expired: claims };
    }
    // It signed its last token long ago; this one is somebody's who has the key.
    if (trusted === 'uploads') return untrusted;
    return { ok: true, claims };
  }

  return {
    async verify(token) {
      const key = createHash('sha256').update(token).digest('base64url');
      const known = cache.get(key);
      if (known !== undefined) {
        if (keys.trusts(known.id) !== undefined) return checkTimesAndRevocation(known);
        // What is trusted has changed: perhaps it is again, for another reason.
        cache.delete(key);
      }
      try {
        const verified = await checkSignature(token);
        cache.set(key, verified, { size: leastSize + token.length });
        return checkTimesAndRevocation(verified);
      } catch (error) {
        if (error instanceof KeysUnknownError) throw unavailable(error);
        const why = describe(error);
        if (error instanceof errors.JWTClaimValidationFailed) {
          // Of one for somebody else the signature holds.
          return { ok: false, why, subject: error.payload.sub ?? '' };
        }
        // Claims of another form are no forgery: their signature held.
        const isUnsigned = error instanceof errors.JOSEError || error instanceof UntrustedKeyError;
        return { ok: false, why, isForged: isUnsigned && issuerOf(token) === issuer };
      }
    },
  };
}

/** A token is signed by a key that is not trusted; the message says why, and holds nothing of the token. */
export class UntrustedKeyError extends Error {}

/** The keys are not known yet: a token can be neither accepted nor refused. */
export class KeysUnknownError extends Error {
  readonly code = 'KEYS_UNKNOWN';
}

function unavailable(cause: KeysUnknownError): RegistryError {
  const message = 'the token service does not answer; try again';
  return new RegistryError('UNAVAILABLE', { message, retryAfter: 2, cause });
}

/** Who a token says has issued it; undefined for what is no token. */
function issuerOf(token: string): string | undefined {
  try {
    return decodeJwt(token).iss;
  } catch {
    return undefined;
  }
}

/** The `exp` a token claims, before anything about it is believed; NaN makes the check fail. */
function expiryOf(token: string): number {
  decodeProtectedHeader(token);
  const payload: unknown = JSON.parse(
    Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'),
  );
  const exp = (payload as { exp?: unknown } | null)?.exp;
  if (typeof exp !== 'number') throw new errors.JWTInvalid('the token has no expiry');
  return exp;
}

function describe(error: unknown): string {
  return error instanceof UntrustedKeyError ? error.message : describeTokenFault(error);
}
