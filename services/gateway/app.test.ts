import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { createUploadId } from '#libs/oci/upload-id.ts';
import { type Gateway, startGateway } from '../../test/support/gateway.ts';
import { rawClient } from '../../test/support/raw-client.ts';
import { answer } from '../../test/support/scripted-peer.ts';

describe('the edge of an open registry', () => {
  let gateway: Gateway;

  beforeEach(async () => {
    gateway = await startGateway({ headers: { 'X-Content-Type-Options': ['nosniff'] } });
  });

  afterEach(async () => {
    await gateway.close();
  });

  const nobodySawIt = () => {
    assert.equal(gateway.core.requests.length, 0);
  };

  test('a request goes to the core with its path, query and body, without credentials of ours', async () => {
    const body = Buffer.from('the layer');
    const path = `/v2/a/blobs/uploads/${createUploadId()}?digest=x&y=%2F`;
    gateway.core.next(answer(201, '', { Location: '/v2/a/blobs/x' }));
    const { status, headers } = await gateway.send('PUT', path, { body });
    assert.deepEqual([status, headers.location], [201, '/v2/a/blobs/x']);
    const [seen] = gateway.core.requests;
    assert.deepEqual([seen?.method, seen?.url, await seen?.whole], ['PUT', path, body]);
    assert.equal(seen?.headers.authorization, undefined);
  });

  test('every answer says which request it answers, and carries the configured headers', async () => {
    for (const path of ['/v2/', '/', '/nothing', '/v2/a/nothing']) {
      const { headers } = await gateway.send('GET', path);
      assert.match(String(headers['x-request-id']), /^[0-9a-f-]{36}$/);
      assert.equal(headers['x-content-type-options'], 'nosniff');
    }
    const { headers } = await gateway.send('GET', '/v2/');
    const seen = gateway.core.requests.at(-1);
    assert.equal(seen?.headers['x-request-id'], headers['x-request-id']);
  });

  test('what is no route of ours stops here', async () => {
    const refused: readonly [method: string, path: string, status: number, code: string][] = [
      ['GET', '/nothing', 404, 'NOT_FOUND'],
      ['GET', '/v3/', 404, 'NOT_FOUND'],
      ['GET', '/v2/../etc/passwd', 404, 'NOT_FOUND'],
      ['GET', '/internal/metrics', 404, 'NOT_FOUND'],
      ['POST', '/v2/', 405, 'UNSUPPORTED'],
      ['GET', '/v2/A/tags/list', 400, 'NAME_INVALID'],
      ['GET', '/v2/a/blobs/none', 400, 'DIGEST_INVALID'],
      ['GET', '/v2/_token', 404, 'NOT_FOUND'],
    ];
    for (const [method, path, status, code] of refused) {
      const { status: got, codes } = await gateway.send(method, path);
      assert.deepEqual([got, ...codes], [status, code], path);
    }
    nobodySawIt();
  });

  test('a browser that asks for permission and a person at the root are answered here', async () => {
    assert.equal((await gateway.send('OPTIONS', '/v2/a/tags/list')).status, 204);
    assert.equal((await gateway.send('GET', '/')).status, 200);
    nobodySawIt();
  });

  test('a browser at the root is told what this is, a client gets an empty answer', async () => {
    const answerTo = async (accept: string, host = 'registry.example.com') => {
      const client = await rawClient(gateway.port);
      client.send(
        `GET / HTTP/1.1\r\nHost: ${host}\r\nAccept: ${accept}\r\nConnection: close\r\n\r\n`,
      );
      return await client.untilClosed();
    };
    const page = await answerTo('text/html,application/xhtml+xml,*/*;q=0.8');
    assert.match(
      page,
      /^HTTP\/1\.1 200 .*content-type: text\/html.*docker login registry\.example\.com/is,
    );
    assert.match(page, /content-security-policy: default-src 'none'/i);
    for (const accept of ['*/*', 'application/json, */*']) {
      assert.match(await answerTo(accept), /content-length: 0\r\n/i);
    }
    const hostile = await answerTo('text/html', 'a"><script>alert(1)</script>');
    assert.doesNotMatch(hostile, /<script/);
    nobodySawIt();
  });

  for (const method of ['GET', 'HEAD', 'DELETE', 'OPTIONS']) {
    test(`${method} takes no body`, async () => {
      const client = await rawClient(gateway.port);
      client.send(
        `${method} /v2/a/tags/list HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello`,
      );
      assert.match(await client.untilClosed(), /^HTTP\/1\.1 400 /);
      nobodySawIt();
    });
  }

  test('what is too large to be what it is for is refused by its length', async () => {
    const refused: readonly [method: string, path: string, length: number][] = [
      ['PUT', '/v2/a/manifests/v1', 4 * 1024 * 1024 + 1],
      ['POST', '/v2/a/tags/list', 1],
      ['POST', '/auth/token', 64 * 1024 + 1],
    ];
    for (const [method, path, length] of refused) {
      const client = await rawClient(gateway.port);
      client.send(`${method} ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`);
      assert.match(await client.untilClosed(), /^HTTP\/1\.1 4\d\d .*Connection: close/s);
    }
    nobodySawIt();
  });

  test('a client that asks first is told to go on only when somebody wants the body', async () => {
    const client = await rawClient(gateway.port);
    client.send(
      `PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n`,
    );
    await client.until(/100 Continue\r\n\r\n/);
    client.send('hello');
    assert.match(
      await client.until(/HTTP\/1\.1 200/),
      /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 /,
    );
    assert.equal(gateway.core.requests[0]?.headers.expect, undefined);
    const other = await rawClient(gateway.port);
    other.send(
      `PUT /v2/A/manifests/v1 HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n`,
    );
    assert.match(await other.untilClosed(), /^HTTP\/1\.1 400 /);
    client.socket.destroy();
  });

  test('while it is stopping it closes connections, and serves', async () => {
    gateway.readiness.startDraining();
    const { status, headers } = await gateway.send('GET', '/v2/');
    assert.deepEqual([status, headers.connection], [200, 'close']);
    assert.equal((await gateway.send('GET', '/readyz')).status, 503);
  });
});

describe('the edge below a prefix', () => {
  let gateway: Gateway;

  before(async () => {
    gateway = await startGateway({ prefix: '/hub' });
  });

  after(async () => {
    await gateway?.close();
  });

  test('the core sees no prefix, and its paths get it back', async () => {
    gateway.core.next(
      answer(202, '', {
        Location: '/v2/a/blobs/uploads/x',
        Link: '</v2/a/tags/list?n=1&last=x>; rel="next"',
      }),
    );
    const { headers } = await gateway.send('POST', '/hub/v2/a/blobs/uploads/');
    assert.equal(gateway.core.requests[0]?.url, '/v2/a/blobs/uploads/');
    assert.equal(headers.location, '/hub/v2/a/blobs/uploads/x');
    assert.equal(headers.link, '</hub/v2/a/tags/list?n=1&last=x>; rel="next"');
  });

  test('what is not below it is nothing', async () => {
    for (const path of ['/v2/', '/hubv2/', '/hub2/v2/']) {
      assert.equal((await gateway.send('GET', path)).status, 404, path);
    }
  });
});
