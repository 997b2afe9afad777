import { generateKeyPair, SignJWT } from 'jose';
import type { Access } from '#libs/access/scope.ts';
import { createVerifier, type Verifier } from '#libs/auth/verify.ts';

const issuer = 'https://registry.test/v2/_token';
const service = 'registry.test';

export interface TokenSpec {
  subject?: string;
  access?: Access[];
  /** Seconds from now; negative for a token that died of age. */
  expiresIn?: number;
  audience?: string;
}

/** A token server as far as tests need one: real ES256 keys, and the verifier that trusts them. */
export interface TokenServer {
  verifier: Verifier;
  /** A signed token. */
  issue(token?: TokenSpec): Promise<string>;
  /** The same, as the header of a request. */
  bearer(token?: TokenSpec): Promise<{ Authorization: string }>;
  /** Voids what was issued to a subject so far. */
  revoke(subject: string): void;
}

export async function createTokenServer(): Promise<TokenServer> {
  const { publicKey, privateKey } = await generateKeyPair('ES256');
  const revoked = new Map<string, number>();
  const now = () => Math.floor(Date.now() / 1000);

  const issue = async ({
    subject = 'alice',
    access = [],
    expiresIn = 300,
    audience = service,
  }: TokenSpec = {}) =>
    await new SignJWT({ access })
      .setProtectedHeader({ alg: 'ES256', kid: 'test' })
      .setIssuer(issuer)
      .setSubject(subject)
      .setAudience(audience)
      .setIssuedAt(now() + Math.min(0, expiresIn) - 10)
      .setExpirationTime(now() + expiresIn)
      .sign(privateKey);

  return {
    verifier: createVerifier({
      issuer,
      audience: service,
      keys: {
        find: async (header) => ({ key: publicKey, id: header.kid ?? '' }),
        trusts: (kid) => (kid === 'test' ? 'tokens' : undefined),
        notBefore: (subject) => revoked.get(subject),
      },
    }),
    issue,
    bearer: async (token) => ({ Authorization: `Bearer ${await issue(token)}` }),
    revoke: (subject) => void revoked.set(subject, now() + 1),
  };
}

/** What a token may do to one repository. */
export function may(name: string, ...actions: string[]): Access {
  return { type: 'repository', name, actions };
}
