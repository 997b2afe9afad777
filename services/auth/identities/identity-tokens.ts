import { timingSafeEqual } from 'node:crypto';
import { decodeJwt, jwtVerify, SignJWT } from 'jose';
import { z } from 'zod';
import type { SecretHistory } from '../users/secret-history.ts';

/** What an identity token says once its signature holds. */
export interface IdentityClaim {
  account: string;
  /** Seconds since the epoch. */
  issuedAt: number;
  /** Of the account's secret when it was issued. */
  fingerprint: string;
}

/** Tokens that stand for a login (OAuth 2 refresh tokens): stateless, and void when the account's secret changes. */
export interface IdentityTokens {
  /**
   * @param secretHash how the account's secret is kept: a hash
   * @param notBefore seconds; one made now must not fall under a revocation of this very second
   */
  issue(account: string, secretHash: string, service: string, notBefore?: number): Promise<string>;
  /** @returns undefined if it is none of ours, not for this service, or too old */
  read(token: string, service: string): Promise<IdentityClaim | undefined>;
  /** Whom it claims to be for, before anything is checked; empty for what is no token. */
  claimed(token: string): string;
  /** Whether it was issued for the secret that the account has now. */
  fits(claim: IdentityClaim, secretHash: string): boolean;
}

const claimsSchema = z.object({ sub: z.string().min(1), iat: z.number(), fp: z.string() });

/** Nothing else that we sign is of this type, and no registry asks for this audience. */
const type = 'portcullis-identity+jwt';
const audienceOf = (service: string) => `identity of ${service}`;

/**
 * @param secret 32 bytes that only token services know
 * @param ttl milliseconds that an identity token lives
 * @param history knows an account's secret though its hash was made anew
 */
export function createIdentityTokens(
  secret: Buffer,
  issuer: string,
  ttl: number,
  history: Pick<SecretHistory, 'fingerprint'>,
): IdentityTokens {
  const fingerprintOf = (account: string, secretHash: string) =>
    history.fingerprint('identity', account, secretHash);

  return {
    async issue(account, secretHash, service, notBefore = 0) {
      return await new SignJWT({ fp: fingerprintOf(account, secretHash) })
        .setProtectedHeader({ alg: 'HS256', typ: type })
        .setIssuer(issuer)
        .setAudience(audienceOf(service))
        .setSubject(account)
        .setIssuedAt(Math.max(Math.floor(Date.now() / 1000), notBefore))
        .setExpirationTime(Math.floor((Date.now() + ttl) / 1000))
        .sign(secret);
    },

    async read(token, service) {
      try {
        const { payload } = await jwtVerify(token, secret, {
          algorithms: ['HS256'],
          typ: type,
          issuer,
          audience: audienceOf(service),
        });
        const { sub: account, iat: issuedAt, fp: fingerprint } = claimsSchema.parse(payload);
        return { account, issuedAt, fingerprint };
      } catch {
        return undefined;
      }
    },

    claimed(token) {
      try {
        return String(decodeJwt(token).sub ?? '');
      } catch {
        return '';
      }
    },

    fits({ account, fingerprint }, secretHash) {
      const [given, wanted] = [fingerprint, fingerprintOf(account, secretHash)].map((text) =>
        Buffer.from(text),
      );
      return given?.length === wanted?.length && timingSafeEqual(given as Buffer, wanted as Buffer);
    },
  };
}
