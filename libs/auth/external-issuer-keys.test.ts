import assert from 'node:assert/strict';
import {
  createHmac,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as signBytes,
  X509Certificate,
} from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { exportJWK, SignJWT } from 'jose';
import { listen } from '#libs/http/serve.ts';
import { createRecordingLog } from '../../test/support/recording-log.ts';
import { mustRun } from '../../test/support/run.ts';
import {
  createTemporaryFolder,
  type TemporaryFolder,
} from '../../test/support/temporary-folder.ts';
import { verifyChain } from './certificate-chain.ts';
import { type ExternalIssuerKeys, openExternalIssuerKeys } from './external-issuer-keys.ts';
import { keyIds, libtrustFingerprint, thumbprint } from './key-ids.ts';
import { createVerifier, UntrustedKeyError } from './verify.ts';

const now = () => Math.floor(Date.now() / 1000);
const der = (pem: string) => pem.replace(/-----[^-]+-----|\s/g, '');

describe('tokens of another server', () => {
  let folder: TemporaryFolder;
  let leaf: { key: KeyObject; pem: string };
  let root: string;
  let open: ExternalIssuerKeys[] = [];
  const { log } = createRecordingLog();
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' });

  /** A certificate by `by`, or by itself. */
  async function certify(
    name: string,
    by?: string,
    ca = false,
    more: readonly string[] = [],
    days = 2,
  ): Promise<KeyObject> {
    const at = (file: string) => join(folder.path, file);
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    await writeFile(at(`${name}.key`), privateKey.export({ type: 'pkcs8', format: 'pem' }));
    const limit = more.find((text) => text.startsWith('pathlen:'));
    const constraints = [`CA:${ca ? 'TRUE' : 'FALSE'}`, ...(limit === undefined ? [] : [limit])];
    const extension = `basicConstraints=critical,${constraints.join(',')}`;
    const others = more.filter((text) => text !== limit).flatMap((text) => ['-addext', text]);
    await mustRun('openssl', [
      ...['req', '-x509', '-new', '-key', at(`${name}.key`), '-subj', `/CN=${name}`],
      ...['-days', `${days}`, '-addext', extension, ...others, '-out', at(`${name}.crt`)],
      ...(by === undefined ? [] : ['-CA', at(`${by}.crt`), '-CAkey', at(`${by}.key`)]),
    ]);
    return privateKey;
  }
  const pem = async (name: string) => await readFile(join(folder.path, `${name}.crt`), 'utf8');

  before(async () => {
    folder = await createTemporaryFolder();
    await certify('root', undefined, true);
    await certify('between', 'root', true);
    leaf = { key: await certify('leaf', 'root'), pem: await pem('leaf') };
    root = join(folder.path, 'root.crt');
  });

  afterEach(() => {
    for (const one of open) one.close();
    open = [];
  });

  after(() => folder.remove());

  async function verifierFor(source: { rootcertbundle?: string; jwks?: string }) {
    const all = { rootcertbundle: undefined, jwks: undefined, ...source };
    const issuerKeys = await openExternalIssuerKeys(all, log);
    open.push(issuerKeys);
    return createVerifier({
      keys: issuerKeys.keys,
      issuer: 'them',
      audience: 'us',
      algorithms: ['RS256', 'PS256', 'ES256', 'EdDSA'],
    });
  }

  const sign = (key: KeyObject, header: Record<string, unknown>, claims = {}) =>
    new SignJWT({ access: [], iss: 'them', aud: 'us', sub: 'bob', ...claims })
      .setProtectedHeader({ alg: 'ES256', ...header })
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(key);
  const why = (result: { ok: boolean; why?: string }) => (result.ok ? 'ok' : result.why);

  test('a chain that leads to the bundle counts, directly or over another', async () => {
    const { verify } = await verifierFor({ rootcertbundle: root });
    assert.equal(why(await verify(await sign(leaf.key, { x5c: [der(leaf.pem)] }))), 'ok');
    const far = await certify('far', 'between');
    const chain = [der(await pem('far')), der(await pem('between'))];
    assert.equal(why(await verify(await sign(far, { x5c: chain }))), 'ok');
    const whole = [...chain, der(await pem('root'))];
    assert.equal(why(await verify(await sign(far, { x5c: whole }))), 'ok');
  });

  test('a chain that does not, or whose middle may not sign, counts for nothing', async () => {
    const { verify } = await verifierFor({ rootcertbundle: root });
    const own = await certify('own', undefined, true);
    const by = await certify('by-own', 'own');
    const byLeaf = await certify('by-leaf', 'leaf');
    const far = await certify('far2', 'between');
    for (const [key, ...names] of [
      [own, 'own'],
      [by, 'by-own', 'own'],
      [by, 'by-own', 'own', 'root'],
      [byLeaf, 'by-leaf', 'leaf'],
      [byLeaf, 'by-leaf', 'leaf', 'root'],
      [far, 'far2'],
    ] as [KeyObject, ...string[]][]) {
      const x5c = await Promise.all(names.map(async (name) => der(await pem(name))));
      const result = await verify(await sign(key, { x5c }));
      assert.match(String(why(result)), /certificate/, names.join());
    }
    // Somebody's chain over somebody else's signature.
    const stolen = await sign(stranger.privateKey, { x5c: [der(leaf.pem)] });
    assert.equal((await verify(stolen)).ok, false);
    for (const x5c of [['AAAA'], [7], Array.from({ length: 9 }, () => der(leaf.pem))]) {
      assert.equal((await verify(await sign(leaf.key, { x5c }))).ok, false);
    }
  });

  test('an authority signs no further than it may, and what is not understood counts for nothing', async () => {
    const { verify } = await verifierFor({ rootcertbundle: root });
    const judge = async (key: KeyObject, ...names: string[]) => {
      const x5c = await Promise.all(names.map(async (name) => der(await pem(name))));
      return (await verify(await sign(key, { x5c }))).ok;
    };
    await certify('short', 'root', true, ['pathlen:0']);
    assert.equal(await judge(await certify('near', 'short'), 'near', 'short'), true);
    await certify('beyond', 'short', true);
    const deep = await certify('deep', 'beyond');
    assert.equal(await judge(deep, 'deep', 'beyond', 'short'), false);
    await certify('named', 'root', true, ['nameConstraints=critical,permitted;DNS:example.com']);
    assert.equal(await judge(await certify('below', 'named'), 'below', 'named'), false);
    const odd = await certify('odd', 'root', false, ['1.2.3.4=critical,ASN1:UTF8String:x']);
    assert.equal(await judge(odd, 'odd'), false);
  });

  test('a chain counts only while each of its certificates is in its time', async () => {
    await certify('brief', 'root', true, [], 1);
    await certify('after', 'brief');
    const [x5c, anchors] = await Promise.all([
      Promise.all(['after', 'brief'].map(async (name) => der(await pem(name)))),
      Promise.all(['root', 'brief'].map(async (name) => new X509Certificate(await pem(name)))),
    ]);
    const [whole, authority] = anchors as [X509Certificate, X509Certificate];
    const later = (hours: number) => new Date(Date.now() + hours * 3_600_000);
    const chains = [
      [x5c, whole],
      [x5c.slice(0, 1), authority],
    ] as const;
    for (const [chain, anchor] of chains) {
      assert.ok(verifyChain(chain, [anchor], later(12)));
      // The authority is over after one day, and the leaf after two; before now there is neither.
      for (const hours of [36, 60, -1]) {
        assert.throws(() => verifyChain(chain, [anchor], later(hours)), UntrustedKeyError);
      }
    }
  });

  test('a key is known by every usual name, from a bundle and from a set', async () => {
    const bundle = join(folder.path, 'bundle.pem');
    const publicPem = rsa.publicKey.export({ type: 'spki', format: 'pem' });
    await writeFile(bundle, `${leaf.pem}\n${publicPem}`);
    const byBundle = await verifierFor({ rootcertbundle: bundle });
    const publicKey = createPublicKey(leaf.key);
    for (const kid of await keyIds(publicKey)) {
      assert.equal(why(await byBundle.verify(await sign(leaf.key, { kid }))), 'ok', kid);
    }
    const kid = libtrustFingerprint(rsa.publicKey);
    const token = await sign(rsa.privateKey, { alg: 'RS256', kid });
    assert.equal(why(await byBundle.verify(token)), 'ok');
    const jwks = join(folder.path, 'jwks.json');
    await writeFile(
      jwks,
      JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: 'k1' }] }),
    );
    const bySet = await verifierFor({ jwks });
    for (const id of ['k1', await thumbprint(publicKey)]) {
      assert.equal(why(await bySet.verify(await sign(leaf.key, { kid: id }))), 'ok', id);
    }
    assert.equal((await bySet.verify(await sign(leaf.key, { kid: 'k2' }))).ok, false);
    assert.equal((await bySet.verify(await sign(stranger.privateKey, { kid: 'k1' }))).ok, false);
  });

  test('a key in the header counts only if it is known', async () => {
    const { verify } = await verifierFor({ rootcertbundle: join(folder.path, 'leaf.crt') });
    const known = await exportJWK(createPublicKey(leaf.key));
    assert.equal(why(await verify(await sign(leaf.key, { jwk: known }))), 'ok');
    const own = await exportJWK(stranger.publicKey);
    assert.equal((await verify(await sign(stranger.privateKey, { jwk: own }))).ok, false);
    const chained = { ...own, x5c: [der(leaf.pem)] };
    assert.equal((await verify(await sign(stranger.privateKey, { jwk: chained }))).ok, false);
    const secret = { kty: 'oct', k: 'AAAA' };
    assert.equal((await verify(await sign(stranger.privateKey, { jwk: secret }))).ok, false);
  });

  test('no token proves itself: none, symmetric, addresses of keys, critical extensions', async () => {
    const { verify } = await verifierFor({ rootcertbundle: join(folder.path, 'leaf.crt') });
    const kid = await thumbprint(createPublicKey(leaf.key));
    const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claims = { iss: 'them', aud: 'us', sub: 'bob', iat: now(), exp: now() + 300, access: [] };
    const publicPem = createPublicKey(leaf.key).export({ type: 'spki', format: 'pem' });
    const hmac = (text: string) => createHmac('sha256', publicPem).update(text).digest('base64url');
    for (const header of [
      { alg: 'none', kid },
      { alg: 'HS256', kid },
      { alg: 'HS256', kid, jwk: { kty: 'oct', k: Buffer.from(publicPem).toString('base64url') } },
      { alg: 'ES256', kid: '../../etc/passwd' },
      { alg: 'ES256', jku: 'http://127.0.0.1:1/keys', kid: 'x' },
      { alg: 'ES256', x5u: 'http://127.0.0.1:1/chain', kid: 'x' },
    ]) {
      const signed = `${encode(header)}.${encode(claims)}`;
      for (const signature of ['', hmac(signed)]) {
        const result = await verify(`${signed}.${signature}`);
        assert.equal(result.ok, false, JSON.stringify(header));
      }
    }
    const signed = (header: object) => {
      const text = `${encode(header)}.${encode(claims)}`;
      const key = { key: leaf.key, dsaEncoding: 'ieee-p1363' } as const;
      return `${text}.${signBytes('sha256', Buffer.from(text), key).toString('base64url')}`;
    };
    assert.equal(why(await verify(signed({ alg: 'ES256', kid }))), 'ok');
    for (const crit of [['x'], ['b64'], ['exp'], []]) {
      const header = { alg: 'ES256', kid, crit, x: 1, b64: false, exp: now() };
      assert.equal((await verify(signed(header))).ok, false, crit.join());
    }
  });

  test('nobody is asked at an address that a token names', async () => {
    const { verify } = await verifierFor({ rootcertbundle: root });
    const jwk = await exportJWK(stranger.publicKey);
    let asked = 0;
    const server = createServer((_, response) => {
      asked += 1;
      response.end(JSON.stringify({ keys: [{ ...jwk, kid: 'theirs' }] }));
    });
    const port = await listen(server, { host: '127.0.0.1', port: 0 });
    try {
      const at = `http://127.0.0.1:${port}/keys`;
      for (const header of [{ jku: at }, { x5u: at }, { jku: at, x5u: at, jwk }]) {
        const token = await sign(stranger.privateKey, { ...header, kid: 'theirs' });
        assert.equal((await verify(token)).ok, false, JSON.stringify(header));
      }
      assert.equal(asked, 0);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  test('other audiences and issuers are not meant', async () => {
    const { verify } = await verifierFor({ rootcertbundle: root });
    const x5c = [der(leaf.pem)];
    for (const claims of [{ aud: 'them' }, { iss: 'us' }, { aud: ['a', 'b'] }, { aud: [] }]) {
      assert.equal((await verify(await sign(leaf.key, { x5c }, claims))).ok, false);
    }
    const list = await sign(leaf.key, { x5c }, { aud: ['other', 'us'], access: null });
    assert.equal(why(await verify(list)), 'ok', 'a list is read, and null for no access');
  });

  test('keys at an address are followed, and asked for again when one is unknown', async () => {
    const keys = [{ ...(await exportJWK(createPublicKey(leaf.key))), kid: 'first' }];
    let asked = 0;
    const server = createServer((_, response) => {
      asked += 1;
      response.end(JSON.stringify({ keys }));
    });
    const port = await listen(server, { host: '127.0.0.1', port: 0 });
    try {
      const { verify } = await verifierFor({ jwks: `http://127.0.0.1:${port}/keys` });
      assert.equal(why(await verify(await sign(leaf.key, { kid: 'first' }))), 'ok');
      for (let n = 0; n < 20; n += 1) {
        assert.equal((await verify(await sign(leaf.key, { kid: `unknown-${n}` }))).ok, false);
      }
      assert.ok(asked <= 2, 'an unknown key does not make us ask each time');
    } finally {
      server.closeAllConnections();
      server.close();
    }
  });

  test('while nothing is known of the keys, tokens are neither believed nor refused', async () => {
    const { verify } = await verifierFor({ jwks: 'http://127.0.0.1:1/keys' });
    await assert.rejects(verify(await sign(leaf.key, { kid: 'x' })), { code: 'UNAVAILABLE' });
    const jwk = await exportJWK(createPublicKey(leaf.key));
    await assert.rejects(verify(await sign(leaf.key, { jwk })), { code: 'UNAVAILABLE' });
  });

  test('a key that the header shows is looked for again, as one that it names', async () => {
    const path = join(folder.path, 'rotated.json');
    const keys = (key: KeyObject) => exportJWK(createPublicKey(key));
    const next = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
    await writeFile(path, JSON.stringify({ keys: [await keys(leaf.key)] }));
    const { verify } = await verifierFor({ jwks: path });
    assert.equal(why(await verify(await sign(leaf.key, { jwk: await keys(leaf.key) }))), 'ok');
    await writeFile(path, JSON.stringify({ keys: [await keys(leaf.key), await keys(next)] }));
    assert.equal(why(await verify(await sign(next, { jwk: await keys(next) }))), 'ok');
  });

  test('a set of more keys than anybody has is refused whole', async () => {
    const many = join(folder.path, 'many.json');
    await writeFile(many, JSON.stringify({ keys: Array(1001).fill({ kty: 'x' }) }));
    await assert.rejects(verifierFor({ jwks: many }), /more than 1000 keys/);
  });

  test('of a chain that leads to no trusted certificate no signature is looked at', async (t) => {
    await certify('stranger', undefined, true);
    await certify('middle', 'stranger', true);
    await certify('below', 'middle');
    const names = ['below', 'middle', 'stranger'];
    const chain = await Promise.all(names.map(async (name) => der(await pem(name))));
    const root = new X509Certificate(await pem('root'));
    const stranger = new X509Certificate(await pem('stranger'));
    const looked = t.mock.method(X509Certificate.prototype, 'verify');
    assert.throws(() => verifyChain(chain, [root]), UntrustedKeyError);
    assert.equal(looked.mock.callCount(), 0);
    assert.ok(verifyChain(chain, [stranger]));
  });

  test('a file that is none is named', async () => {
    const empty = join(folder.path, 'empty.pem');
    await writeFile(empty, 'nothing');
    await assert.rejects(verifierFor({ rootcertbundle: empty }), /empty\.pem holds no certificate/);
    await assert.rejects(verifierFor({ jwks: empty }), /empty\.pem is not JSON/);
    await assert.rejects(verifierFor({ jwks: join(folder.path, 'absent') }), /absent/);
  });
});
