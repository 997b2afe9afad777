import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { createLogger } from '#libs/log/logger.ts';
import { openRevocations } from './revocations.ts';
import { openSecretHistory } from './users/secret-history.ts';

const log = createLogger(
  { level: 'error', format: 'text', fields: {}, process: 'test' },
  { write() {} },
);

describe('revocations', () => {
  let stateFolder: string;

  before(async () => {
    stateFolder = await mkdtemp(join(tmpdir(), 'portcullis-revocations-'));
  });

  after(async () => {
    await rm(stateFolder, { recursive: true });
  });

  const open = async () => {
    const history = await openSecretHistory(join(stateFolder, 'rehashed'), Buffer.from('key'));
    return await openRevocations({ stateFolder, history, log });
  };
  const accounts = (entries: Record<string, string>) => new Map(Object.entries(entries));

  test('the first look revokes nothing', async () => {
    const revocations = await open();
    await revocations.follow(accounts({ alice: 'h1', bob: 'h2', carol: 'h3' }));
    assert.deepEqual(revocations.all(), {});
  });

  test('a changed password and a removed account void older tokens, also over a restart', async () => {
    const now = Math.floor(Date.now() / 1000);
    const revocations = await open();
    await revocations.follow(accounts({ alice: 'h1', bob: 'changed', dave: 'new' }));
    const revoked = revocations.all();
    assert.deepEqual(Object.keys(revoked).sort(), ['bob', 'carol']);
    assert.ok((revoked.bob ?? 0) > now);
    assert.deepEqual((await open()).all(), revoked);
  });

  test('the file is private and tells no hash', async () => {
    const path = join(stateFolder, 'revoked.yml');
    assert.equal((await stat(path)).mode & 0o077, 0);
    assert.doesNotMatch(await readFile(path, 'utf8'), /h1|changed/);
  });
});
