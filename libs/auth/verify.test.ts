import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import {
  base64url,
  type CryptoKey,
  createLocalJWKSet,
  exportJWK,
  exportSPKI,
  generateKeyPair,
  type JWK,
  type JWTPayload,
  SignJWT,
} from 'jose';
import { createVerifier, type TrustedKeys, type Verifier } from './verify.ts';

const start = 1_800_000_000;
const access = [{ type: 'repository', name: 'a', actions: ['pull'] }];

describe('verifying a token', () => {
  let privateKey: CryptoKey;
  let publicKey: CryptoKey;
  let publicJwk: JWK;
  let verifier: Verifier;
  let now: number;
  let trusted: boolean;
  let notBefore: number | undefined;
  let uploadsOnly: boolean;
  /** How often a key was asked for: once for each signature that is checked. */
  let checked: number;

  function trustOf(kid: string) {
    if (!trusted || kid !== 'k') return undefined;
    return uploadsOnly ? ('uploads' as const) : ('tokens' as const);
  }

  beforeEach(async () => {
    ({ privateKey, publicKey } = await generateKeyPair('ES256', { extractable: true }));
    publicJwk = { ...(await exportJWK(publicKey)), kid: 'k', alg: 'ES256' };
    now = start;
    trusted = true;
    uploadsOnly = false;
    checked = 0;
    notBefore = undefined;
    const findInSet = createLocalJWKSet({ keys: [publicJwk as JWK & { kty: string }] });
    const keys: TrustedKeys = {
      async find(header) {
        checked += 1;
        return { key: await findInSet(header), id: header.kid ?? '' };
      },
      trusts: trustOf,
      notBefore: () => notBefore,
    };
    verifier = createVerifier({
      keys,
      issuer: 'portcullis',
      audience: 'registry',
      now: () => now * 1000,
    });
  });

  const claims = (changes: Record<string, unknown> = {}): JWTPayload => ({
    iss: 'portcullis',
    aud: 'registry',
    sub: 'admin',
    iat: start,
    nbf: start,
    exp: start + 300,
    access,
    ...changes,
  });
  const sign = (payload: JWTPayload, header: Record<string, unknown> = {}, key = privateKey) =>
    new SignJWT(payload)
      .setProtectedHeader({ alg: 'ES256', kid: 'k', typ: 'JWT', ...header })
      .sign(key);
  const why = async (token: string) => {
    const result = await verifier.verify(token);
    assert.equal(result.ok, false);
    return result.ok ? '' : result.why;
  };

  test('a good token gives its claims, again from the cache', async () => {
    const token = await sign(claims());
    for (const _ of [1, 2]) {
      const result = await verifier.verify(token);
      assert.ok(result.ok);
      assert.equal(result.claims.sub, 'admin');
      assert.deepEqual(result.claims.access, access);
    }
  });

  test('large tokens are remembered as far as there is room for them', async () => {
    const large = {
      access: [{ type: 'repository', name: 'a'.repeat(1_000_000), actions: ['pull'] }],
    };
    const tokens = await Promise.all(
      Array.from({ length: 20 }, (_, index) => sign(claims({ ...large, jti: `${index}` }))),
    );
    for (const token of tokens) assert.ok((await verifier.verify(token)).ok);
    for (const token of tokens.slice(-5)) assert.ok((await verifier.verify(token)).ok);
    assert.equal(checked, 20);
    for (const token of tokens.slice(0, 5)) assert.ok((await verifier.verify(token)).ok);
    assert.equal(checked, 25);
  });

  test('wrong issuer, wrong audience, no expiry, not yet valid: each is refused', async () => {
    assert.match(await why(await sign(claims({ iss: 'other' }))), /iss/);
    assert.match(await why(await sign(claims({ aud: 'other' }))), /aud/);
    assert.notEqual(await why(await sign(claims({ exp: undefined }))), '');
    assert.match(await why(await sign(claims({ nbf: start + 120, exp: start + 600 }))), /nbf/);
  });

  test('why a token is refused is said in words', async () => {
    const other = await generateKeyPair('ES256');
    const hs256 = new SignJWT(claims()).setProtectedHeader({ alg: 'HS256', kid: 'k' });
    const [body = ''] = (await sign(claims())).split('.').slice(1);
    for (const [token, expected] of [
      ['eyJ', 'not a token'],
      [`!.${body}.`, 'not a token'],
      [await sign(claims(), {}, other.privateKey), 'the signature of the token is not valid'],
      [
        await hs256.sign(new TextEncoder().encode('x'.repeat(32))),
        'the signature algorithm of the token is not accepted',
      ],
      [
        await sign(claims({ nbf: start + 120, exp: start + 600 })),
        'the token is not valid yet (claim nbf)',
      ],
      [await sign(claims({ iss: undefined })), 'claim iss is missing'],
    ] as const) {
      assert.equal(await why(token), expected);
    }
  });

  test('claims of another form are refused', async () => {
    assert.notEqual(await why(await sign(claims({ access: 'everything' }))), '');
    assert.notEqual(await why(await sign(claims({ sub: undefined }))), '');
  });

  test('alg none, and HS256 over the public key, are refused', async () => {
    const body = base64url.encode(JSON.stringify(claims()));
    const none = `${base64url.encode('{"alg":"none","kid":"k"}')}.${body}.`;
    assert.notEqual(await why(none), '');
    for (const secret of [await exportSPKI(publicKey), JSON.stringify(publicJwk)]) {
      const forged = await new SignJWT(claims())
        .setProtectedHeader({ alg: 'HS256', kid: 'k' })
        .sign(new TextEncoder().encode(secret));
      assert.notEqual(await why(forged), '');
    }
  });

  test('a token signed by another key, or naming an unknown one, is refused', async () => {
    const other = await generateKeyPair('ES256');
    assert.notEqual(await why(await sign(claims(), {}, other.privateKey)), '');
    assert.notEqual(await why(await sign(claims(), { kid: 'unknown' })), '');
  });

  test('a key that the token brings along is not used', async () => {
    const other = await generateKeyPair('ES256', { extractable: true });
    const jwk = await exportJWK(other.publicKey);
    assert.notEqual(await why(await sign(claims(), { jwk }, other.privateKey)), '');
  });

  test('what a header says of keys elsewhere, and of extensions, is not followed', async () => {
    const other = await generateKeyPair('ES256', { extractable: true });
    const addresses = { jku: 'http://127.0.0.1:1/keys', x5u: 'http://127.0.0.1:1/chain' };
    for (const header of [addresses, { x5c: ['AAAA'] }, { ...addresses, kid: undefined }]) {
      assert.notEqual(await why(await sign(claims(), header, other.privateKey)), '');
    }
    const body = base64url.encode(JSON.stringify(claims()));
    const signed = async (header: unknown) => {
      const text = `${base64url.encode(JSON.stringify(header))}.${body}`;
      const algorithm = { name: 'ECDSA', hash: 'SHA-256' };
      const bytes = new TextEncoder().encode(text);
      const signature = await crypto.subtle.sign(algorithm, privateKey, bytes);
      return `${text}.${base64url.encode(new Uint8Array(signature))}`;
    };
    assert.ok((await verifier.verify(await signed({ alg: 'ES256', kid: 'k' }))).ok);
    // Each under a true signature, so that nothing but the header is wrong.
    for (const header of [
      { alg: 'ES256', kid: 'k', crit: ['exp'] },
      { alg: 'ES256', kid: 'k', crit: ['b64'], b64: false },
      { alg: 'ES256', kid: ['k'] },
      { alg: 'ES256', kid: { k: 1 } },
      { alg: ['ES256'], kid: 'k' },
      { alg: 'es256', kid: 'k' },
      { alg: 'ES512', kid: 'k' },
    ]) {
      assert.notEqual(await why(await signed(header)), '', JSON.stringify(header));
    }
  });

  test('claims that come twice prove nothing: the bytes are what is signed', async () => {
    const [header, body = '', signature] = (await sign(claims())).split('.');
    const text = new TextDecoder().decode(base64url.decode(body));
    const twice = `${text.slice(0, -1)},"sub":"root","access":[]}`;
    assert.notEqual(await why(`${header}.${base64url.encode(twice)}.${signature}`), '');
  });

  test('a key that is good for uploads only ends live tokens, and lets expired ones tell whose they were', async () => {
    const token = await sign(claims());
    assert.ok((await verifier.verify(token)).ok);
    uploadsOnly = true;
    assert.match(await why(token), /no longer trusted/);
    now = start + 1000;
    const result = await verifier.verify(token);
    assert.ok(!result.ok && result.expired?.sub === 'admin');
  });

  test('changed claims under a true signature are refused', async () => {
    const [header, , signature] = (await sign(claims())).split('.');
    const body = base64url.encode(JSON.stringify(claims({ sub: 'root' })));
    assert.notEqual(await why(`${header}.${body}.${signature}`), '');
  });

  test('what is no token at all is refused', async () => {
    for (const text of ['', 'x', 'a.b.c', '..', 'e30.e30.e30', `${'a'.repeat(10_000)}.b.c`]) {
      assert.notEqual(await why(text), '');
    }
  });

  test('a token dies of age, also one in the cache, and then still tells whose it was', async () => {
    const token = await sign(claims());
    assert.ok((await verifier.verify(token)).ok);
    now = start + 300 + 59;
    assert.ok((await verifier.verify(token)).ok, 'clocks may differ by a minute');
    now = start + 300 + 61;
    const result = await verifier.verify(token);
    assert.ok(!result.ok && result.expired?.sub === 'admin');
    const fresh = await sign(claims({ jti: 'seen for the first time' }));
    const late = await verifier.verify(fresh);
    assert.ok(!late.ok && late.expired?.sub === 'admin');
  });

  test('one that says it is ours is forged, one for or from others and what is no token are mistakes', async () => {
    const other = await generateKeyPair('ES256');
    const judge = async (text: string) => {
      const result = await verifier.verify(text);
      return result.ok ? 'good' : (result.subject ?? (result.isForged === true ? 'forged' : ''));
    };
    assert.equal(await judge(await sign(claims(), {}, other.privateKey)), 'forged');
    assert.equal(await judge(await sign(claims({ iss: 'other' }), {}, other.privateKey)), '');
    assert.equal(await judge('not a token'), '');
    assert.equal(await judge(await sign(claims({ access: 'everything' }))), '', 'it is signed');
    assert.equal(await judge(await sign(claims({ aud: 'other' }))), 'admin', 'its signature holds');
  });

  test('a forged token never counts as merely expired', async () => {
    const other = await generateKeyPair('ES256');
    now = start + 1000;
    const forged = await verifier.verify(await sign(claims(), {}, other.privateKey));
    assert.ok(!forged.ok && forged.expired === undefined);
    const foreign = await verifier.verify(await sign(claims({ aud: 'other' })));
    assert.ok(!foreign.ok && foreign.expired === undefined);
  });

  test('a retired key ends its tokens, also those in the cache', async () => {
    const token = await sign(claims());
    assert.ok((await verifier.verify(token)).ok);
    trusted = false;
    assert.match(await why(token), /no longer trusted/);
  });

  test('a revocation ends tokens issued before it, also expired ones, and none after', async () => {
    const before = await sign(claims());
    const after = await sign(claims({ iat: start + 10 }));
    assert.ok((await verifier.verify(before)).ok);
    notBefore = start + 10;
    assert.match(await why(before), /revoked/);
    assert.ok((await verifier.verify(after)).ok);
    now = start + 1000;
    const result = await verifier.verify(before);
    assert.ok(!result.ok && result.expired === undefined);
  });
});
