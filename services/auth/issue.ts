import { randomUUID } from 'node:crypto';
import { type JWTHeaderParameters, SignJWT } from 'jose';
import type { Access } from '#libs/access/scope.ts';
import type { CallerDetails } from '#libs/auth/claims.ts';
import type { TokenService } from '#libs/config/sections/tokens.ts';
import type { SigningKey } from './keys/signing-key.ts';

export interface IssuedToken {
  token: string;
  /** Seconds. */
  expiresIn: number;
  issuedAt: Date;
}

export interface IssueOptions {
  /** The key that signs now. */
  signing(): SigningKey;
  issuer: string;
  /** Who tokens are made for; the first is this registry. */
  services: readonly [TokenService, ...TokenService[]];
  /** Milliseconds. */
  ttl: number;
}

/** What a token says. */
export interface TokenContent {
  service: TokenService;
  account: string;
  access: readonly Access[];
  caller?: CallerDetails | undefined;
  /** Seconds; a token made now must not fall under a revocation of this very second. */
  notBefore?: number | undefined;
  /** Milliseconds since the epoch at which it ends, or a minute after it was made: clients take no less for a lifetime. */
  until?: number | undefined;
}

/** Signs a token for exactly this access (distribution's "Token Authentication Implementation"). */
export async function issueToken(
  { signing, issuer, ttl }: IssueOptions,
  { service, account, access, caller, notBefore = 0, until }: TokenContent,
): Promise<IssuedToken> {
  const key = signing();
  const now = Math.floor(Date.now() / 1000);
  const most = until === undefined ? Number.POSITIVE_INFINITY : Math.ceil(until / 1000) - now;
  // Clients take less than a minute for a minute.
  const expiresIn = Math.max(60, Math.min(Math.round(ttl / 1000), most));
  const token = await new SignJWT(caller === undefined ? { access } : { access, caller })
    .setProtectedHeader(headerFor(service, key))
    .setIssuer(issuer)
    .setSubject(account)
    // One string: distribution 2.8 reads no list.
    .setAudience(service.name)
    .setJti(randomUUID())
    .setIssuedAt(Math.max(now, notBefore))
    .setNotBefore(now)
    .setExpirationTime(now + expiresIn)
    .sign(key.privateKey);
  return { token, expiresIn, issuedAt: new Date(now * 1000) };
}

/** How the token says which key signed it (RFC 7515 section 4.1). */
function headerFor(service: TokenService, key: SigningKey): JWTHeaderParameters {
  const { certificate } = key;
  const chain =
    service.x5c && certificate !== undefined ? { x5c: [certificate.raw.toString('base64')] } : {};
  const kid = service.kid === 'libtrust' ? key.libtrustKid : key.kid;
  return { alg: 'ES256', typ: 'JWT', kid, ...chain };
}
