import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import {
  chown,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { mustRun, run } from '../support/run.ts';
import { launcher } from '../support/stack.ts';
import { createTemporaryFolder } from '../support/temporary-folder.ts';

test('a CA is never overwritten, and a second key is never made', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'portcullis-certs-'));
  try {
    const certificates = join(dir, 'kept');
    await mustRun(launcher, ['certs', certificates, 'a.example', '192.0.2.1']);
    const ca = await readFile(join(certificates, 'ca.crt'), 'utf8');
    const again = await mustRun(launcher, ['certs', certificates, 'b.example', '2001:db8::1']);
    assert.match(again, /kept: .*ca\.crt/);
    assert.match(again, /for b\.example, 2001:db8::1, a\.example, 192\.0\.2\.1\)/);
    const site = new X509Certificate(await readFile(join(certificates, 'site.crt')));
    assert.equal(site.checkHost('a.example'), 'a.example', 'the names before are kept');
    assert.match(
      await mustRun(launcher, ['certs', certificates, '2001:db8::1']),
      /kept: .*site\.crt/,
    );
    assert.equal(await readFile(join(certificates, 'ca.crt'), 'utf8'), ca);
    const state = join(dir, 'state');
    await mustRun(launcher, ['keys', 'create', '--state', state]);
    assert.equal((await run(launcher, ['keys', 'create', '--state', state])).code, 1);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test('a link that somebody laid where files are made is not followed, and nothing but the files stays', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'portcullis-certs-'));
  try {
    const victim = join(dir, 'victim');
    const certificates = join(dir, 'certs');
    await writeFile(victim, 'of somebody');
    await mkdir(certificates);
    for (const name of ['ca.key.new', 'ca.crt.new', 'site.key.new', 'site.crt.new', 'site.csr']) {
      await symlink(victim, join(certificates, name));
    }
    await mustRun(launcher, ['certs', certificates, 'a.example']);
    assert.equal(await readFile(victim, 'utf8'), 'of somebody');
    const made = (await readdir(certificates)).filter((name) => !/\.(new|csr)$/.test(name));
    assert.deepEqual(made.sort(), ['ca.crt', 'ca.key', 'site.crt', 'site.key']);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test('a certificate that our CA has not signed stays, and where its key is away ours does', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'portcullis-certs-'));
  try {
    const certificates = join(dir, 'certs');
    const at = (name: string) => join(certificates, name);
    await mustRun(launcher, ['certs', certificates, 'a.example']);
    // As somebody does who keeps the key of the CA elsewhere.
    await rename(at('ca.key'), join(dir, 'ca.key'));
    assert.match(
      await mustRun(launcher, ['certs', certificates, 'a.example']),
      /kept: .*site\.crt/,
    );
    const more = await run(launcher, ['certs', certificates, 'b.example']);
    assert.equal(more.code, 1);
    assert.match(more.stderr, /ca\.key is not there, with which a new certificate would be signed/);
    await rm(at('site.key'));
    assert.equal((await run(launcher, ['certs', certificates, 'a.example'])).code, 1);
    await rename(join(dir, 'ca.key'), at('ca.key'));
    const files = ['-keyout', at('site.key'), '-out', at('site.crt')];
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    await mustRun('openssl', ['req', '-x509', ...curve, ...files, '-subj', '/CN=a company']);
    const pair = () =>
      Promise.all([readFile(at('site.crt'), 'utf8'), readFile(at('site.key'), 'utf8')]);
    const before = await pair();
    const theirs = await run(launcher, ['certs', certificates, 'a.example']);
    assert.equal(theirs.code, 1);
    assert.match(theirs.stderr, /site\.crt and site\.key are none of .*ca\.crt, so they stay/);
    assert.deepEqual(await pair(), before);
    // Nor is anything else that somebody put there, such as a chain in another format, also without a key beside it.
    await rm(at('site.key'));
    await mustRun('openssl', [
      ...['crl2pkcs7', '-nocrl', '-certfile', at('site.crt'), '-out', at('site.p7b')],
    ]);
    await rename(at('site.p7b'), at('site.crt'));
    const chain = await readFile(at('site.crt'), 'utf8');
    assert.equal((await run(launcher, ['certs', certificates, 'a.example'])).code, 1);
    assert.equal(await readFile(at('site.crt'), 'utf8'), chain);
    await rm(at('site.crt'));
    // Nor a key whose certificate is still to come.
    await writeFile(at('site.key'), 'a key');
    for (const empty of [false, true]) {
      if (empty) await writeFile(at('site.crt'), '');
      assert.equal((await run(launcher, ['certs', certificates, 'a.example'])).code, 1);
      assert.equal(await readFile(at('site.key'), 'utf8'), 'a key');
    }
    for (const name of ['site.crt', 'site.key']) await rm(at(name));
    await mustRun(launcher, ['certs', certificates, 'a.example']);
    // A new CA is meant by who removes the old one.
    for (const name of ['site.crt', 'site.key']) await rm(at(name));
    await mustRun(launcher, ['certs', certificates, 'a.example']);
    const old = await pair();
    for (const name of ['ca.crt', 'ca.key']) await rm(at(name));
    assert.match(
      await mustRun(launcher, ['certs', certificates, 'a.example']),
      /made: .*ca\.crt[\s\S]*made: .*site\.crt/,
    );
    // What was there may be all that somebody has of it.
    const kept = ['site.crt.old', 'site.key.old'].map((name) => readFile(at(name), 'utf8'));
    assert.deepEqual(await Promise.all(kept), old);
    assert.equal((await stat(at('site.key.old'))).mode & 0o077, 0);
    const second = await pair();
    for (const name of ['ca.crt', 'ca.key']) await rm(at(name));
    await mustRun(launcher, ['certs', certificates, 'a.example', '::1', '0:0:0:0:0:0:0:1']);
    const again = ['site.crt.old2', 'site.key.old2'].map((name) => readFile(at(name), 'utf8'));
    assert.deepEqual(await Promise.all(again), second);
    assert.deepEqual(await Promise.all(kept), old, 'nor is the copy replaced');
    // A key with a passphrase is asked for on a terminal.
    const plain = await readFile(at('ca.key'));
    const pass = ['-aes256', '-passout', 'pass:abcd'];
    await mustRun('openssl', ['ec', ...pass, '-in', at('ca.key'), '-out', at('ca.encrypted')]);
    await rename(at('ca.encrypted'), at('ca.key'));
    const locked = await run(launcher, ['certs', certificates, 'b.example']);
    assert.match(locked.stderr, /ca\.key has a passphrase; run portcullis certs on a terminal/);
    await writeFile(at('ca.key'), plain);
    // A CA that was made elsewhere has the same name.
    const central = join(dir, 'central');
    await mustRun(launcher, ['certs', central, 'a.example']);
    for (const name of ['site.crt', 'site.key']) await copyFile(join(central, name), at(name));
    const theirsAgain = await run(launcher, ['certs', certificates, 'a.example']);
    assert.match(theirsAgain.stderr, /are none of .*ca\.crt, so they stay/);
    assert.equal((await pair())[1], await readFile(join(central, 'site.key'), 'utf8'));
    await copyFile(join(central, 'ca.crt'), at('ca.crt'));
    assert.match(await mustRun(launcher, ['certs', certificates, 'a.example']), /kept: .*site/);
    const wrongKey = await run(launcher, ['certs', certificates, 'b.example']);
    assert.match(wrongKey.stderr, /ca\.key is not the key of ca\.crt, with which a new/);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test('a CA that another user laid is not taken', { skip: process.getuid?.() !== 0 }, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'portcullis-certs-'));
  try {
    const certificates = join(dir, 'certs');
    await mustRun(launcher, ['certs', certificates, 'a.example']);
    const names = ['ca.key', 'ca.crt'];
    for (const name of names) await chown(join(certificates, name), 4321, 4321);
    const { code, stderr } = await run(launcher, ['certs', certificates, 'b.example']);
    assert.equal(code, 1);
    assert.match(stderr, /ca\.key belongs to user 4321, who could make certificates/);
    for (const name of names) await chown(join(certificates, name), 0, 0);
    await mustRun(launcher, ['certs', certificates, 'b.example']);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});

test('what stands in the place of a CA, and is none, signs nothing', async () => {
  await using folder = await createTemporaryFolder();
  const at = (name: string) => join(folder.path, name);
  await mustRun(launcher, ['certs', folder.path, 'a.example']);
  await rename(at('site.crt'), at('ca.crt'));
  await rename(at('site.key'), at('ca.key'));
  const { code, stderr } = await run(launcher, ['certs', folder.path, 'a.example']);
  assert.equal(code, 1);
  assert.match(
    stderr,
    /ca\.crt is not the certificate of an authority \(CA:FALSE\): clients refuse/,
  );
  await rm(at('ca.crt'));
  const without = await run(launcher, ['certs', folder.path, 'a.example']);
  assert.equal(without.code, 1);
  assert.match(without.stderr, /ca\.crt is not there, and .*ca\.key is; put back the certificate/);
});
