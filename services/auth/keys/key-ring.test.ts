import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { createRecordingLog } from '../../../test/support/recording-log.ts';
import {
  createTemporaryFolder,
  type TemporaryFolder,
} from '../../../test/support/temporary-folder.ts';
import { createFirstKey, createNextKey } from './create-key.ts';
import { openKeyRing } from './key-ring.ts';
import { loadKeys } from './signing-key.ts';

const [minute, hour] = [60_000, 3_600_000];

describe('signing keys', () => {
  let folder: TemporaryFolder;

  beforeEach(async () => {
    folder = await createTemporaryFolder();
  });

  afterEach(() => folder.remove());

  test('a key comes with a certificate by an authority, and a secret beside it', async () => {
    await createFirstKey(folder.path);
    const [key] = await loadKeys(folder.path);
    const authority = new X509Certificate(await readFile(join(folder.path, 'keys/authority.crt')));
    assert.ok(key?.certificate);
    assert.ok(key.certificate.verify(authority.publicKey));
    assert.equal(authority.ca, true);
    assert.equal(key.certificate.ca, false);
    assert.match(key.libtrustKid, /^([A-Z2-7]{4}:){11}[A-Z2-7]{4}$/);
    const names = ['authority.crt', 'authority.key', 'first.crt', 'first.pem', 'identity.key'];
    assert.deepEqual((await readdir(join(folder.path, 'keys'))).sort(), names);
  });

  test('a key is made where nothing else can be written', async () => {
    const before = process.env.TMPDIR;
    process.env.TMPDIR = join(folder.path, 'absent');
    try {
      await createFirstKey(folder.path);
    } finally {
      if (before === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = before;
    }
    const [key] = await loadKeys(folder.path);
    assert.ok(key?.certificate);
  });

  test('of many that make the first key at once one wins, and all agree', async () => {
    await Promise.all(Array.from({ length: 8 }, () => createFirstKey(folder.path)));
    const keys = await loadKeys(folder.path);
    assert.equal(keys.length, 1);
    assert.ok(keys[0]?.certificate);
  });

  test('a key is published at once, signs from its time, and verifies for as long as it must', async () => {
    await createFirstKey(folder.path);
    const start = Date.now();
    await createNextKey(folder.path, new Date(start + 10 * minute));
    const [first, next] = await loadKeys(folder.path);
    assert.ok(first && next);
    let time = start;
    const { log } = createRecordingLog();
    const options = { stateFolder: folder.path, ttl: 5 * minute, log, onChange() {} };
    const ring = openKeyRing({ ...options, keys: [first, next], now: () => time });
    try {
      const seen = () => ({
        signs: ring.signing().kid === next.kid ? 'next' : 'first',
        verify: ring.published().map(({ kid, uploadsOnly }) => {
          return `${kid === next.kid ? 'next' : 'first'}${uploadsOnly === true ? ' uploads' : ''}`;
        }),
      });
      assert.deepEqual(seen(), { signs: 'first', verify: ['first', 'next'] });
      time = start + 11 * minute;
      assert.deepEqual(seen(), { signs: 'next', verify: ['first', 'next'] });
      time = start + 18 * minute;
      assert.deepEqual(seen(), { signs: 'next', verify: ['first uploads', 'next'] });
      time = start + 25 * hour;
      assert.deepEqual(seen(), { signs: 'next', verify: ['next'] });
    } finally {
      ring.close();
    }
  });
});
