import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { mustRun } from '../../test/support/run.ts';
import {
  createTemporaryFolder,
  type TemporaryFolder,
} from '../../test/support/temporary-folder.ts';
import { describeDoubts, describeExpiry, loadTls } from './load-tls.ts';

describe('a certificate and a key that do not serve', () => {
  let folder: TemporaryFolder;
  const at = (name: string) => join(folder.path, name);

  before(async () => {
    folder = await createTemporaryFolder();
    for (const [name, bits] of [
      ['good', 2048],
      ['other', 2048],
      ['short', 1024],
    ] as const) {
      const files = ['-keyout', at(`${name}.key`), '-out', at(`${name}.crt`)];
      const request = ['req', '-x509', '-newkey', `rsa:${bits}`, '-nodes', '-subj', '/CN=x'];
      await mustRun('openssl', [...request, ...files]);
    }
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    const other = ['-subj', '/CN=x', '-keyout', at('curve.key'), '-out', at('curve.crt')];
    await mustRun('openssl', ['req', '-x509', ...curve, ...other]);
    await writeFile(at('empty.crt'), '');
    const from = ['-in', at('good.key'), '-out', at('locked.key')];
    await mustRun('openssl', ['rsa', '-aes128', '-passout', 'pass:secret', ...from]);
    const der = ['-in', at('good.crt'), '-outform', 'der', '-out', at('der.crt')];
    await mustRun('openssl', ['x509', ...der]);
  });

  after(async () => {
    await folder.remove();
  });

  const load = (certificate: string, key: string) =>
    loadTls({
      certificate: at(certificate),
      key: at(key),
      minVersion: 'TLSv1.2',
      ciphers: [],
    });

  test('are told from those that do', async () => {
    assert.ok(await load('good.crt', 'good.key'));
  });

  test('are told before and after their time, and shortly before its end', async () => {
    const pem = await readFile(at('good.crt'));
    const day = 24 * 60 * 60 * 1000;
    const after = (days: number) => describeExpiry(pem, new Date(Date.now() + days * day));
    assert.equal(after(0), undefined);
    assert.match(after(-2) ?? '', /^is not valid before /);
    assert.match(after(29) ?? '', /^expires on /);
    assert.match(after(40) ?? '', /^expired on /);
  });

  test('are told where their issuer is missing, or the name that clients are given', async () => {
    const extensions =
      'authorityInfoAccess=caIssuers;URI:http://ca.example/ca.crt\nsubjectAltName=DNS:a.example,IP:192.0.2.1\n';
    await writeFile(at('leaf.cnf'), extensions);
    const subject = ['-new', '-key', at('other.key'), '-subj', '/CN=leaf', '-out', at('leaf.csr')];
    await mustRun('openssl', ['req', ...subject]);
    const signed = ['-CA', at('good.crt'), '-CAkey', at('good.key'), '-set_serial', '2'];
    const files = ['-in', at('leaf.csr'), '-extfile', at('leaf.cnf'), '-out', at('leaf.crt')];
    await mustRun('openssl', ['x509', '-req', ...signed, ...files]);
    const [leaf, issuer] = await Promise.all([readFile(at('leaf.crt')), readFile(at('good.crt'))]);
    assert.match(describeDoubts(leaf, undefined).join(), /^comes without .*CN=x.* fullchain\.pem$/);
    const chain = Buffer.concat([leaf, issuer]);
    assert.deepEqual(describeDoubts(chain, undefined), []);
    assert.deepEqual(describeDoubts(issuer, undefined), []);
    assert.deepEqual(describeDoubts(chain, 'a.example'), []);
    assert.deepEqual(describeDoubts(chain, '192.0.2.1'), []);
    assert.match(
      describeDoubts(chain, 'b.example').join(),
      /^is not for b\.example, as which http/,
    );
  });

  for (const [what, certificate, key, remedy] of [
    ['a key of 1024 bits', 'short.crt', 'short.key', /2048 bits or more/],
    ['the key of another certificate', 'good.crt', 'other.key', /not that of the certificate/],
    ['the key of one of another kind', 'good.crt', 'curve.key', /not that of the certificate/],
    ['a certificate of another kind', 'curve.crt', 'good.key', /not that of the certificate/],
    ['certificate and key swapped', 'good.key', 'good.crt', /are certificate and key swapped/],
    ['a key with a passphrase', 'good.crt', 'locked.key', /has a passphrase/],
    ['a certificate in DER', 'der.crt', 'good.key', /not PEM/],
    ['a certificate for a key', 'good.crt', 'good.crt', /no private key/],
    ['an empty file', 'empty.crt', 'good.key', /http\.tls: .*empty\.crt .* cannot be used/],
    ['a file that is not there', 'good.crt', 'none.key', /http\.tls\.key: .*there is no such file/],
  ] as const) {
    test(`say what to do about ${what}`, async () => {
      await assert.rejects(load(certificate, key), remedy);
    });
  }
});
