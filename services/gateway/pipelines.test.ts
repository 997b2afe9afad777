import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startGateway } from '../../test/support/gateway.ts';
import { rawClient } from '../../test/support/raw-client.ts';
import { hang } from '../../test/support/scripted-peer.ts';
import { waitFor } from '../../test/support/wait-for.ts';

test('a connection on which requests come faster than answers are taken is closed', async () => {
  const gateway = await startGateway();
  try {
    const get = 'GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n';
    const few = await rawClient(gateway.port);
    few.send(get.repeat(16));
    await few.until(/(?:HTTP\/1\.1 200 .*){16}/s);
    few.send(get);
    await few.until(/(?:HTTP\/1\.1 200 .*){17}/s);
    few.socket.destroy();
    const many = await rawClient(gateway.port);
    many.send(get.repeat(200));
    await many.untilClosed();
    assert.ok(gateway.messages().some((message) => message.includes('connection closed')));
    assert.ok(gateway.core.requests.length <= 17 + 16, `${gateway.core.requests.length}`);
  } finally {
    await gateway.close();
  }
});

test('what is no request is not answered where an answer would be taken for that of one before it', async () => {
  const gateway = await startGateway();
  try {
    gateway.core.otherwise(hang);
    const client = await rawClient(gateway.port);
    client.send('DELETE /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\n\r\n');
    await waitFor('it to be on its way', () => gateway.core.requests.length === 1);
    client.send('GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\nhello\r\n\r\n');
    assert.equal(await client.untilClosed(), '');
  } finally {
    await gateway.close();
  }
});
