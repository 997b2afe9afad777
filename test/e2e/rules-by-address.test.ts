import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startConfigured } from '../support/configured-stack.ts';
import type { Stack } from '../support/stack.ts';

let stack: Stack;

before(async () => {
  stack = await startConfigured({
    users: { bob: 'a good password' },
    sections: () => ({
      portcullis: {
        acl: [{ match: { ip: '10.0.0.0/8', name: 'inside/**' }, actions: ['pull'] }],
        gateway: { trustedproxies: ['127.0.0.1'] },
      },
    }),
  });
});

after(() => stack.remove());

/** The status of a pull of what is not there: 404 for whoever may look. */
async function pull(from: string, headers: Record<string, string> = {}): Promise<number> {
  const url = `${stack.url}/v2/inside/app/manifests/v1`;
  const answer = await fetch(url, { headers: { 'X-Forwarded-For': from, ...headers } });
  await answer.body?.cancel();
  return answer.status;
}

test('what one address may, another may not, also right after it and without a login', async () => {
  const basic = `Basic ${Buffer.from('bob:a good password').toString('base64')}`;
  for (let round = 0; round < 3; round += 1) {
    assert.equal(await pull('10.1.2.3'), 404);
    assert.equal(await pull('192.0.2.1'), 401);
    assert.equal(await pull('10.1.2.3', { Authorization: basic }), 404);
    assert.equal(await pull('192.0.2.1', { Authorization: basic }), 403);
  }
});
