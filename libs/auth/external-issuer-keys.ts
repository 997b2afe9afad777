import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto';
import type { JWK, JWTHeaderParameters } from 'jose';
import { readText } from '#libs/files/read-text.ts';
import { watchFile } from '#libs/files/watch-file.ts';
import type { Logger } from '#libs/log/logger.ts';
import { verifyChain } from './certificate-chain.ts';
import { type JwksSource, openJwksSource } from './jwks-source.ts';
import { keyIds, thumbprint } from './key-ids.ts';
import { type FoundKey, KeysUnknownError, type TrustedKeys, UntrustedKeyError } from './verify.ts';

/** Another server whose tokens count here (`auth.token`). */
export interface ExternalIssuer {
  /** Where clients get tokens; undefined: at this host, on `autoredirectPath`. */
  realm: string | undefined;
  autoredirectPath: string;
  service: string;
  issuer: string;
  /** Path of certificates and public keys, PEM. */
  rootcertbundle: string | undefined;
  /** Path or address of a JWK Set. */
  jwks: string | undefined;
  /** Signature algorithms that count (RFC 7518 section 3.1). */
  algorithms: string[];
}

export interface ExternalIssuerKeys {
  keys: TrustedKeys;
  /** Why tokens cannot be verified yet; undefined once a key is known. */
  reason(): string | undefined;
  close(): void;
}

/** What a source says: keys by all their names, and who signs certificates. */
interface Known {
  byId: ReadonlyMap<string, KeyObject>;
  roots: readonly X509Certificate[];
}

const nothing: Known = { byId: new Map(), roots: [] };

/**
 * Trusts the keys of another token server (`auth.token`), from a bundle of certificates and from a key set, both
 * followed as they change. A token may name its key by a certificate chain (`x5c`), by the key itself (`jwk`) or by
 * any of the usual ids (`kid`), which are tried in this order, as distribution does; what a header brings along is
 * never trusted for its own sake.
 * @throws Error with one clear sentence if a file cannot be used
 */
export async function openExternalIssuerKeys(
  { rootcertbundle, jwks }: Pick<ExternalIssuer, 'rootcertbundle' | 'jwks'>,
  log: Logger,
): Promise<ExternalIssuerKeys> {
  let bundle: Known = nothing;
  let set: Known = nothing;
  const closers: (() => void)[] = [];
  let source: JwksSource | undefined;

  if (rootcertbundle !== undefined) {
    const load = async () => {
      bundle = await readBundle(rootcertbundle);
    };
    await load();
    closers.push(watchFile(rootcertbundle, load, log).close);
  }
  if (jwks !== undefined) {
    source = await openJwksSource({
      location: jwks,
      log,
      async onKeys(keys) {
        set = await indexJwks(keys, log);
      },
    });
    closers.push(source.close);
  }
  const byId = (id: string) => bundle.byId.get(id) ?? set.byId.get(id);

  async function find(header: JWTHeaderParameters): Promise<FoundKey> {
    const { x5c, jwk, kid } = header;
    if (Array.isArray(x5c) && x5c.length > 0) return await findByChain(x5c);
    if (jwk !== undefined) return await findByJwk(jwk);
    if (kid === undefined) throw new UntrustedKeyError('the token names no key');
    const key = await findById(kid);
    return { key, id: await thumbprint(key) };
  }

  /** Looks again for a key that is not known; until any is, nobody can say that it is a wrong one. */
  async function findById(id: string): Promise<KeyObject> {
    let key = byId(id);
    if (key === undefined && source !== undefined) {
      await source.refresh();
      key = byId(id);
    }
    if (key !== undefined) return key;
    if (!ready()) throw new KeysUnknownError('the keys of the token server are not known yet');
    throw new UntrustedKeyError('the token is signed by an unknown key');
  }

  async function findByChain(x5c: readonly unknown[]): Promise<FoundKey> {
    const leaf = verifyChain(x5c, bundle.roots);
    const key = leaf.publicKey;
    // As long as its root is in the bundle, whatever key the root vouches for.
    return { key, id: `chain ${rootsId()}` };
  }

  async function findByJwk(jwk: JWK): Promise<FoundKey> {
    if (Array.isArray(jwk.x5c) && jwk.x5c.length > 0) {
      const found = await findByChain(jwk.x5c);
      const claimed = await thumbprint(publicKeyOf(jwk));
      if (claimed === (await thumbprint(found.key as KeyObject))) return found;
      throw new UntrustedKeyError('the key of the token is not that of its certificate');
    }
    const id = await thumbprint(publicKeyOf(jwk));
    return { key: await findById(id), id };
  }

  const rootsId = () => bundle.roots.map(({ fingerprint256 }) => fingerprint256).join(' ');
  const ready = () => bundle.byId.size > 0 || bundle.roots.length > 0 || set.byId.size > 0;

  return {
    keys: {
      find,
      trusts: (id) =>
        byId(id) !== undefined || id === `chain ${rootsId()}` ? 'tokens' : undefined,
      notBefore: () => undefined,
    },
    reason: () => (ready() ? undefined : 'the keys of the token server are not known yet'),
    close() {
      for (const close of closers) close();
    },
  };
}

async function readBundle(path: string): Promise<Known> {
  const { keys, roots } = parseBundle(await readText(path, 'auth.token.rootcertbundle'), path);
  const byId = new Map<string, KeyObject>();
  for (const key of keys) {
    for (const id of await keyIds(key)) byId.set(id, key);
  }
  return { byId, roots };
}

/** Certificates and plain public keys, PEM. @throws Error if it has none, or one that cannot be read */
export function parseBundle(
  text: string,
  path: string,
): { keys: KeyObject[]; roots: X509Certificate[] } {
  const keys: KeyObject[] = [];
  const roots: X509Certificate[] = [];
  const blocks = text.matchAll(/-----BEGIN ([A-Z ]+)-----[\s\S]+?-----END \1-----/g);
  for (const [block, kind = ''] of blocks) {
    if (kind.endsWith('PRIVATE KEY')) {
      throw new Error(
        `auth.token.rootcertbundle: ${path} holds a private key; name the certificate, and keep the key where tokens are made`,
      );
    }
    try {
      const certificate = kind === 'CERTIFICATE' ? new X509Certificate(block) : undefined;
      if (certificate !== undefined) roots.push(certificate);
      keys.push(certificate?.publicKey ?? createPublicKey(block));
    } catch (error) {
      throw new Error(`auth.token.rootcertbundle: ${path}: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
  if (keys.length === 0) {
    throw new Error(`auth.token.rootcertbundle: ${path} holds no certificate and no public key`);
  }
  return { keys, roots };
}

async function indexJwks(keys: readonly JWK[], log: Logger): Promise<Known> {
  const byId = new Map<string, KeyObject>();
  let invalid = 0;
  for (const jwk of keys) {
    // A symmetric key in a public place is nobody's proof.
    if (jwk.kty === 'oct' || jwk.use === 'enc') continue;
    try {
      const key = publicKeyOf(jwk);
      for (const id of await keyIds(key)) byId.set(id, key);
      if (jwk.kid !== undefined) byId.set(jwk.kid, key);
    } catch (error) {
      invalid += 1;
      log.debug({ err: error, kid: jwk.kid }, 'skipping an invalid key of the key set');
    }
  }
  if (invalid > 0) log.warn({ invalid, keys: keys.length }, 'skipping invalid keys of the key set');
  return { byId, roots: [] };
}

function publicKeyOf({ kty, n, e, crv, x, y }: JWK): KeyObject {
  // Only what is public: whatever else stands there is not looked at.
  const members = { kty, n, e, crv, x, y };
  const jwk = Object.fromEntries(
    Object.entries(members).filter(([, value]) => value !== undefined),
  );
  try {
    return createPublicKey({ key: jwk, format: 'jwk' });
  } catch (error) {
    throw new UntrustedKeyError('the token carries an invalid public key', { cause: error });
  }
}
