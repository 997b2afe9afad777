import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { type RawClient, rawClient } from '../../test/support/raw-client.ts';
import { readBody } from './body.ts';

describe('readBody', () => {
  let outcomes: Promise<string>[];
  let client: RawClient;
  const server = createServer((request, response) => {
    const body = readBody(request, 10, { within: 200 });
    outcomes.push(
      body.then(String, ({ code, message }) => `${code}: ${message}`).finally(() => response.end()),
    );
  });

  beforeEach(async () => {
    outcomes = [];
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    client = await rawClient((server.address() as AddressInfo).port);
  });

  afterEach(async () => {
    client.socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });

  const send = async (...pieces: string[]) => {
    for (const piece of pieces) client.send(piece);
    await client.until(/\r\n\r\n/);
    return await outcomes[0];
  };
  const announced = (length: number) =>
    `PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`;
  const chunked = 'PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n';

  test('gives a body of the greatest size', async () => {
    assert.equal(await send(announced(10), '0123456789'), '0123456789');
  });

  test('refuses one that is announced to be larger', async () => {
    assert.match((await send(announced(11))) ?? '', /^CONTENT_TOO_LARGE: .* 10 bytes/);
  });

  test('refuses one that turns out larger', async () => {
    assert.match((await send(chunked, 'b\r\n0123456789a\r\n')) ?? '', /^CONTENT_TOO_LARGE: /);
  });

  test('waits no longer than it should for one that comes byte by byte', async () => {
    client.send(announced(10));
    const drip = setInterval(() => client.send('x'), 70);
    try {
      await client.until(/\r\n\r\n/);
    } finally {
      clearInterval(drip);
    }
    assert.match((await outcomes[0]) ?? '', /^REQUEST_TIMEOUT: .* within 0\.2 s/);
  });

  test('says that a body was cut short', async () => {
    client.send(`${announced(10)}0123`);
    while (outcomes.length === 0) await new Promise(setImmediate);
    client.socket.destroy();
    assert.match((await outcomes[0]) ?? '', /^REQUEST_INVALID: /);
  });
});
