import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { startConfigured } from '../support/configured-stack.ts';
import { run } from '../support/run.ts';
import { launcher } from '../support/stack.ts';

test('a tree is repaired where nobody else writes to it, and looked at at any time', async () => {
  const damaged = `docker/registry/v2/blobs/sha256/00/${'0'.repeat(64)}`;
  const stack = await startConfigured({
    async prepare(dir) {
      await mkdir(join(dir, 'registry', damaged), { recursive: true });
      await writeFile(join(dir, 'registry', damaged, 'data'), 'damaged');
    },
  });
  const fsck = (...args: string[]) =>
    run(launcher, ['fsck', ...args, join(stack.dir, 'config.yml')], { timeout: 60_000 });
  try {
    const look = await fsck();
    assert.equal(look.code, 4, look.stderr);
    assert.match(look.stdout, /damaged-blob/);
    const beside = await fsck('--repair');
    assert.equal(beside.code, 1, beside.stdout);
    assert.match(
      beside.stderr,
      /nothing can be repaired: .* is using this storage; stop it first.*serves read-only/,
    );
    await stack.stop();
    assert.equal((await fsck('--repair')).code, 0);
    const after = await fsck();
    assert.equal(after.code, 0, after.stdout);
  } finally {
    await stack.remove();
  }
});
