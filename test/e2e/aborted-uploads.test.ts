import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startConfigured } from '../support/configured-stack.ts';

test('an upload that was broken off does not hold up a stop', async () => {
  const stack = await startConfigured();
  const owned = join(stack.dir, 'registry/docker/registry/v2/_portcullis');
  try {
    const opened = await fetch(`${stack.url}/v2/a/b/blobs/uploads/`, { method: 'POST' });
    const path = opened.headers.get('location') ?? '';
    for (const headers of [{ 'Content-Length': 100_000_000 }, { 'Transfer-Encoding': 'chunked' }]) {
      const upload = request(new URL(path, stack.url), { method: 'PATCH', headers });
      upload.on('error', () => {});
      upload.write(Buffer.alloc(200_000));
      await sleep(300);
      upload.destroy();
      await sleep(200);
    }
    assert.ok((await readdir(owned)).includes('owner'));
    assert.equal(await stack.stop(), 0);
    // A core that was killed because it took too long would have left it.
    assert.ok(!(await readdir(owned)).includes('owner'));
  } finally {
    await stack.remove();
  }
});
