import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { rawClient } from '../../test/support/raw-client.ts';
import { listen, serverOptions } from './serve.ts';

test('a body that is cut off for its small pieces is never taken for whole', async () => {
  let hasEnded = false;
  const closed = Promise.withResolvers<void>();
  const server = createServer(serverOptions, (request) => {
    request.on('error', () => {});
    request.once('end', () => {
      hasEnded = true;
    });
    request.once('close', closed.resolve);
    request.resume();
  });
  const client = await rawClient(await listen(server, { host: '127.0.0.1', port: 0 }));
  try {
    // All of it, with its end, in one breath.
    const chunks = '1\r\na\r\n'.repeat(3000);
    client.send(
      `PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`,
    );
    await client.untilClosed();
    await closed.promise;
    assert.equal(hasEnded, false);
  } finally {
    client.socket.destroy();
    server.close();
    if (server.listening) await once(server, 'close');
  }
});
