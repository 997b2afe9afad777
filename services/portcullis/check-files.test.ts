import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfiguration } from '#libs/config/load-configuration.ts';
import { type Settings, toSettings } from '#libs/config/settings.ts';
import { mustRun } from '../../test/support/run.ts';
import { createTemporaryFolder } from '../../test/support/temporary-folder.ts';
import { checkFiles } from './check-files.ts';

async function settingsOf(path: string, lines: string): Promise<Settings> {
  await writeFile(path, `version: 0.1\nstorage: { inmemory: {} }\n${lines}\n`);
  return toSettings(await loadConfiguration(path, {}));
}

test('certificates of internal links and of Redis are looked into', async () => {
  await using folder = await createTemporaryFolder();
  const at = (name: string) => join(folder.path, name);
  for (const name of ['one', 'other']) {
    const files = ['-keyout', at(`${name}.key`), '-out', at(`${name}.crt`)];
    const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=x'];
    await mustRun('openssl', [...request, ...files]);
  }
  await writeFile(at('none.pem'), 'bob:x\n');
  const files = (key: string, ca: string) =>
    `certificate: ${at('one.crt')}, key: ${at(key)}, rootcas: [${at(ca)}]`;
  const check = async (key: string, ca: string) => {
    const settings = await settingsOf(
      at('config.yml'),
      [
        'http: { secret: 0123456789abcdef0123456789abcdef }',
        `redis: { addr: "127.0.0.1:6379", tls: { ${files(key, ca)} } }`,
        `portcullis: { core: { listen: "127.0.0.1:1" }, gateway: { cores: ["https://127.0.0.1:1"] }, internal: { ${files(key, ca)} } }`,
      ].join('\n'),
    );
    return (await checkFiles(settings, ['core', 'gateway'])).problems.join('\n');
  };
  assert.equal(await check('one.key', 'other.crt'), '');
  const mismatch = await check('other.key', 'other.crt');
  for (const section of ['redis.tls', 'portcullis.internal']) {
    assert.match(mismatch, new RegExp(`${section}: .* the key is not that of the certificate`));
  }
  const none = await check('one.key', 'none.pem');
  for (const section of ['redis.tls', 'portcullis.internal']) {
    assert.match(none, new RegExp(`${section}.rootcas: .*none.pem cannot be used: it holds no`));
  }
  // Names of OpenSSL's, and what it writes beside.
  const pem = await readFile(at('other.crt'), 'utf8');
  const plain = `a comment\n${pem}${pem.replaceAll(' CERTIFICATE', ' X509 CERTIFICATE')}`;
  const trusted = await mustRun('openssl', ['x509', '-in', at('other.crt'), '-trustout']);
  await writeFile(at('all.pem'), plain + trusted);
  assert.equal(await check('one.key', 'all.pem'), '');
  await writeFile(at('cut.pem'), (await readFile(at('one.crt'), 'utf8')).replace(/\w{20}/, ''));
  assert.match(await check('one.key', 'cut.pem'), /redis\.tls\.rootcas: .*cut\.pem cannot be used/);
});
