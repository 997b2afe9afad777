import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startGateway } from '../../test/support/gateway.ts';
import { rawClient } from '../../test/support/raw-client.ts';
import { after, answer, hang } from '../../test/support/scripted-peer.ts';
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

test('what changes something waits for the answers before it, and what comes behind it for its own', async () => {
  const gateway = await startGateway();
  try {
    const gates = [0, 1, 2].map(() => Promise.withResolvers<void>());
    const [first, second, third] = gates.map(({ promise }) => after(promise, answer(200)));
    if (first && second && third) gateway.core.next(first, second, third);
    const client = await rawClient(gateway.port);
    const get = (path: string) => `GET /v2/${path} HTTP/1.1\r\nHost: x\r\n\r\n`;
    const put = (tag: string) =>
      `PUT /v2/a/manifests/${tag} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}`;
    client.send(
      get('a/tags/list') + get('b/tags/list') + put('v1') + put('v2') + get('c/tags/list'),
    );
    const seen = () => gateway.core.requests.map(({ method, url }) => `${method} ${url}`);
    const reads = ['GET /v2/a/tags/list', 'GET /v2/b/tags/list'];
    await waitFor('what changes nothing to be side by side', () => seen().length === 2);
    gates[1]?.resolve();
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.deepEqual(seen(), reads);
    gates[0]?.resolve();
    await waitFor('the first change', () => seen().length === 3);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const changes = ['PUT /v2/a/manifests/v1', 'PUT /v2/a/manifests/v2'];
    assert.deepEqual(seen(), [...reads, changes[0]]);
    gates[2]?.resolve();
    await client.until(/(?:HTTP\/1\.1 200 .*){5}/s);
    assert.deepEqual(seen(), [...reads, ...changes, 'GET /v2/c/tags/list']);
    client.socket.destroy();
  } finally {
    await gateway.close();
  }
});
