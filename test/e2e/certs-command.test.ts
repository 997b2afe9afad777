import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { chown, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { mustRun, run } from '../support/run.ts';
import { launcher } from '../support/stack.ts';

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
