import assert from 'node:assert/strict';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createRecordingLog } from '../../../test/support/recording-log.ts';
import { createTemporaryFolder } from '../../../test/support/temporary-folder.ts';
import { openKnownLogins } from './known-logins.ts';

const day = 24 * 60 * 60 * 1000;
const { log } = createRecordingLog();

async function start() {
  const folder = await createTemporaryFolder();
  const path = join(folder.path, 'known-logins.json');
  let time = 1000 * day;
  const open = (secret = 'secret') =>
    openKnownLogins({
      path,
      secret: Buffer.from(secret),
      redis: undefined,
      log,
      now: () => time,
    });
  return {
    path,
    open,
    pass: (days: number) => {
      time += days * day;
    },
    [Symbol.asyncDispose]: folder.remove,
  };
}

test('who logged in is known over a restart, for thirty days', async () => {
  await using at = await start();
  const one = at.open();
  await one.add('bob', '10.0.0.1');
  assert.equal(await one.has('bob', '10.0.0.1'), true);
  await one.close();
  const again = at.open();
  assert.equal(await again.has('bob', '10.0.0.1'), true);
  assert.equal(await again.has('bob', '10.0.0.2'), false);
  at.pass(29);
  assert.equal(await again.has('bob', '10.0.0.1'), true);
  at.pass(1);
  assert.equal(await again.has('bob', '10.0.0.1'), false);
});

test('two token services that share the folder lose nothing of each other', async () => {
  await using at = await start();
  const [one, other] = [at.open(), at.open()];
  await one.add('bob', '10.0.0.1');
  await other.add('eve', '10.0.0.2');
  await Promise.all([one.close(), other.close()]);
  const again = at.open();
  assert.ok((await again.has('bob', '10.0.0.1')) && (await again.has('eve', '10.0.0.2')));
});

test('the file is private, names nobody, and is of no use without the secret', async () => {
  await using at = await start();
  const one = at.open();
  await one.add('bob', '10.0.0.1');
  await one.close();
  assert.equal((await stat(at.path)).mode & 0o077, 0);
  assert.doesNotMatch(await readFile(at.path, 'utf8'), /bob|10\.0/);
  assert.equal(await at.open('another').has('bob', '10.0.0.1'), false);
});

test('one account has fifty networks at most, and those used last stay', async () => {
  await using at = await start();
  const one = at.open();
  await one.add('bob', 'old');
  at.pass(1);
  for (let n = 0; n < 50; n += 1) await one.add('bob', `network ${n}`);
  assert.equal(await one.has('bob', 'old'), false);
  assert.equal(await one.has('bob', 'network 0'), true);
});

test('what cannot be read is learnt anew', async () => {
  await using at = await start();
  await writeFile(at.path, 'not JSON');
  const one = at.open();
  assert.equal(await one.has('bob', '10.0.0.1'), false);
  await one.add('bob', '10.0.0.1');
  await one.close();
  assert.equal(await at.open().has('bob', '10.0.0.1'), true);
});
