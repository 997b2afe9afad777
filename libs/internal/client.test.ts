import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { internalHeaders } from '#libs/http/internal-headers.ts';
import { createRecordingLog } from '../../test/support/recording-log.ts';
import { createInternalClient } from './client.ts';
import { followInstances } from './instances.ts';

/** A single process that answers so. */
async function follow(listener: RequestListener) {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const instances = await followInstances({
    addresses: [{ kind: 'tcp', host: '127.0.0.1', port, tls: false }],
    kind: 'auth',
    log: createRecordingLog().log,
    checkEvery: 60_000,
  });
  const close = () => {
    instances.close();
    server.closeAllConnections();
    server.close();
  };
  return { instances, close };
}

test('one that stopped answering is waited for by nobody, until it answers a check', async () => {
  let asked = 0;
  const { instances, close } = await follow((request, response) => {
    if (request.url !== '/readyz') asked += 1;
    response.end('well');
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
    close();
  }
});

test('a single one is asked again whose connection broke, or that stops, and not one that took its time', async () => {
  let asked = 0;
  let act: (response: ServerResponse) => void = (response) => response.end('well');
  const { instances, close } = await follow((_, response) => {
    asked += 1;
    act(response);
  });
  const client = createInternalClient({ instances, signer: undefined });
  const call = async (timeout = 60_000) => await client.call({ method: 'GET', path: '/', timeout });
  const well = act;
  const firstBy = (first: typeof act) => {
    asked = 0;
    act = (response) => {
      act = well;
      first(response);
    };
  };
  try {
    for (const first of [
      (response: ServerResponse) => response.destroy(),
      (response: ServerResponse) => {
        response.socket?.end('garbage\r\n\r\n');
      },
      (response: ServerResponse) => {
        response.writeHead(503, { [internalHeaders.refused]: 'stopping' }).end();
      },
    ]) {
      firstBy(first);
      assert.equal((await call()).body, 'well');
      assert.equal(asked, 2);
    }
    firstBy((response) => response.writeHead(503).end('not now'));
    assert.equal((await call()).body, 'not now');
    firstBy(() => {});
    await assert.rejects(call(50), { name: 'AbortError' });
    assert.equal(asked, 1);
  } finally {
    close();
  }
});
