import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { createRecordingLog } from '../../test/support/recording-log.ts';
import { createInternalClient } from './client.ts';
import { followInstances } from './instances.ts';

test('one that stopped answering is waited for by nobody, until it answers a check', async () => {
  let asked = 0;
  const server = createServer((request, response) => {
    if (request.url !== '/readyz') asked += 1;
    response.end('well');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const instances = await followInstances({
    addresses: [{ kind: 'tcp', host: '127.0.0.1', port, tls: false }],
    kind: 'auth',
    log: createRecordingLog().log,
    checkEvery: 60_000,
  });
  try {
    const [instance] = instances.all();
    assert.ok(instance !== undefined);
    const client = createInternalClient({ instances, signer: undefined });
    const request = { method: 'GET', path: '/', timeout: 60_000 } as const;
    instance.down.abort();
    await assert.rejects(client.call(request), { name: 'AbortError' });
    assert.deepEqual(await client.callAll(request), []);
    assert.equal(asked, 0);
    instance.down = new AbortController();
    assert.equal((await client.call(request)).body, 'well');
  } finally {
    instances.close();
    server.close();
  }
});
