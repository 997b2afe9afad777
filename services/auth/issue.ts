import { randomUUID } from 'node:crypto';
import { SignJWT } from 'jose';
import type { CallerDetails } from '#libs/auth/claims.ts';
import type { Access } from '#libs/auth/scope.ts';
import type { SigningKey } from '#libs/auth/signing-keys.ts';

export interface IssuedToken {
  token: string;
  /** Seconds. */
  expiresIn: number;
  issuedAt: Date;
}

export interface IssueOptions {
  key: SigningKey;
  issuer: string;
  service: string;
  /** Milliseconds. */
  ttl: number;
}

/** What a token says. */
export interface TokenContent {
  account: string;
  access: readonly Access[];
  caller?: CallerDetails | undefined;
  /** Seconds; a token made now must not fall under a revocation of this very second. */
  notBefore?: number | undefined;
}

/** Signs a token for exactly this access (distribution's "Token Authentication Implementation"). */
export async function issueToken(
  { key, issuer, service, ttl }: IssueOptions,
  { account, access, caller, notBefore = 0 }: TokenContent,
): Promise<IssuedToken> {
  const now = Math.floor(Date.now() / 1000);
  const expiresIn = Math.max(60, Math.round(ttl / 1000));
  const token = await new SignJWT(caller === undefined ? { access } : { access, caller })
    .setProtectedHeader({ alg: 'ES256', typ: 'JWT', kid: key.kid })
    .setIssuer(issuer)
    .setSubject(account)
    .setAudience(service)
    .setJti(randomUUID())
    .setIssuedAt(Math.max(now, notBefore))
    .setNotBefore(now)
    .setExpirationTime(now + expiresIn)
    .sign(key.privateKey);
  return { token, expiresIn, issuedAt: new Date(now * 1000) };
}
