import { createServer } from 'node:http';
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose';
import { listen } from '#libs/http/serve.ts';

/** An OIDC issuer as CI systems and clusters are: discovery, a key set, and tokens. */
export interface OidcIssuer {
  /** `http://127.0.0.1:port`. */
  issuer: string;
  /** How often the key set was asked for. */
  asked(): number;
  sign(
    claims: Record<string, unknown>,
    options?: { audience?: string; expiresIn?: string },
  ): Promise<string>;
  /** Signs with another key from now on. */
  rotate(): Promise<void>;
  close(): void;
}

export async function startOidcIssuer(): Promise<OidcIssuer> {
  let asked = 0;
  let count = 0;
  let signing: { key: CryptoKey; kid: string };
  const keys: JWK[] = [];
  async function rotate(): Promise<void> {
    const { publicKey, privateKey } = await generateKeyPair('RS256');
    count += 1;
    signing = { key: privateKey, kid: `key-${count}` };
    keys.push({ ...(await exportJWK(publicKey)), kid: signing.kid, alg: 'RS256' });
  }
  await rotate();
  let issuer = '';
  const server = createServer((request, response) => {
    if (request.url === '/.well-known/openid-configuration') {
      response.end(JSON.stringify({ issuer, jwks_uri: `${issuer}/keys` }));
      return;
    }
    asked += 1;
    response.end(JSON.stringify({ keys }));
  });
  const port = await listen(server, { host: '127.0.0.1', port: 0 });
  issuer = `http://127.0.0.1:${port}`;
  return {
    issuer,
    asked: () => asked,
    rotate,
    async sign(claims, { audience = 'registry', expiresIn = '5m' } = {}) {
      return await new SignJWT(claims)
        .setProtectedHeader({ alg: 'RS256', kid: signing.kid })
        .setIssuer(issuer)
        .setAudience(audience)
        .setIssuedAt()
        .setExpirationTime(expiresIn)
        .sign(signing.key);
    },
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
