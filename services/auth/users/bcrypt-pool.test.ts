import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { createTemporaryFolder } from '../../../test/support/temporary-folder.ts';
import { waitFor } from '../../../test/support/wait-for.ts';
import { createBcryptPool } from './bcrypt-pool.ts';

const hashing = { kind: 'hash', password: 'x', cost: 4 } as const;

test('threads that cannot be started answer nobody late, and those that can later do all that is asked', async () => {
  const folder = await createTemporaryFolder();
  const script = join(folder.path, 'worker.mjs');
  const pool = createBcryptPool(1, pathToFileURL(script));
  try {
    const inVain = await Promise.allSettled([1, 2, 3].map(() => pool.run(hashing)));
    assert.deepEqual(
      inVain.map(({ status }) => status),
      ['rejected', 'rejected', 'rejected'],
    );
    await writeFile(
      script,
      "import { parentPort } from 'node:worker_threads'; parentPort.on('message', () => parentPort.postMessage('done'));",
    );
    await waitFor(
      'a thread that works',
      async () => (await pool.run(hashing).catch(() => '')) === 'done',
    );
    assert.deepEqual(
      await Promise.all([1, 2, 3].map(() => pool.run(hashing))),
      Array(3).fill('done'),
    );
  } finally {
    await pool.close();
    await folder.remove();
  }
});

test('what is under way when the pool closes is told so', async () => {
  const pool = createBcryptPool(1);
  const asked = [1, 2].map(() => pool.run({ ...hashing, cost: 14 }));
  const settled = Promise.allSettled(asked);
  await pool.close();
  assert.deepEqual(
    (await settled).map(({ status }) => status),
    ['rejected', 'rejected'],
  );
});

test('the time that a thread takes to start is not told as the time of its work', async () => {
  const folder = await createTemporaryFolder();
  const script = join(folder.path, 'worker.mjs');
  const work = 'parentPort.postMessage({ answer: true, duration: 7 })';
  await writeFile(
    script,
    `import { parentPort } from 'node:worker_threads';
     Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
     parentPort.on('message', () => ${work});`,
  );
  const pool = createBcryptPool(1, pathToFileURL(script));
  try {
    const began = performance.now();
    assert.deepEqual(await pool.run(hashing), { answer: true, duration: 7 });
    assert.ok(performance.now() - began >= 300);
  } finally {
    await pool.close();
    await folder.remove();
  }
});
