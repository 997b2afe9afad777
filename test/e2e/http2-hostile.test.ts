import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { startConfigured } from '../support/configured-stack.ts';
import { http2Client } from '../support/http2-client.ts';
import { flags, frameTypes, headerBlock, type RawHttp2, rawHttp2 } from '../support/raw-http2.ts';
import { type Stack, servicePids } from '../support/stack.ts';

const { endStream, endHeaders } = flags;
type Fields = readonly (readonly [name: string, value: string])[];

const to = (path: string, method = 'GET'): Fields => [
  [':method', method],
  [':scheme', 'https'],
  [':path', path],
  [':authority', 'localhost'],
];

describe('clients of HTTP/2 that mean no good', () => {
  let stack: Stack;
  let gateway: number | undefined;

  before(async () => {
    stack = await startConfigured({
      tls: true,
      users: { admin: 'secret' },
      http: { http2: { disabled: false } },
      sections: () => ({ portcullis: { gateway: { headerstimeout: '2s', idletimeout: '1s' } } }),
    });
    [gateway] = await servicePids(stack.child.pid ?? 0, 'gateway');
  });

  after(async () => {
    await stack?.remove();
  });

  async function assertLives(): Promise<void> {
    const client = await http2Client(stack);
    assert.equal((await client.ask('GET', '/')).status, 200);
    client.close();
    assert.deepEqual(await servicePids(stack.child.pid ?? 0, 'gateway'), [gateway]);
    assert.doesNotMatch(stack.output(), /a process died|level=(?:error|fatal)/);
  }

  /** The status, `another` for one that HPACK has no byte for; or what ended the stream. */
  async function outcome(client: RawHttp2, stream: number): Promise<string> {
    const frame = await client.until(
      ({ type, stream: of }) =>
        type === frameTypes.goaway ||
        (of === stream && (type === frameTypes.headers || type === frameTypes.rstStream)),
    );
    if (frame === undefined) return 'closed';
    if (frame.type === frameTypes.rstStream) return `reset ${frame.payload.readUInt32BE(0)}`;
    if (frame.type === frameTypes.goaway) return `goaway ${frame.payload.readUInt32BE(4)}`;
    const statuses = ['200', '204', '206', '304', '400', '404', '500'];
    // The status comes first, behind changes of the table's size: indexed, or spelt out.
    const first = frame.payload.find((byte) => (byte & 0xe0) !== 0x20) ?? 0;
    return statuses[first - 0x88] ?? 'another';
  }

  const malformed: readonly [what: string, fields: Fields][] = [
    ['CONNECT', [to('')[0] ?? ['', ''], [':authority', 'x']]],
    ['CONNECT in full', to('/v2/', 'CONNECT')],
    ['a path of *', to('*')],
    ['a path of * for OPTIONS', to('*', 'OPTIONS')],
    ['an absolute URL', to('https://localhost/v2/')],
    [
      'an absolute URL of no scheme we know',
      [...to('//[').filter(([name]) => name !== ':scheme'), [':scheme', 'foo']],
    ],
    ['a host that is none', to('//[')],
    ['no path', to('').filter(([name]) => name !== ':path')],
    ['an empty path', to('')],
    ['no method', to('/').filter(([name]) => name !== ':method')],
    ['a method of no word', to('/v2/', 'G T')],
    ['an unknown method', to('/v2/', 'BREW')],
    ['an uppercase header', [...to('/v2/'), ['X-Upper', 'x']]],
    ['a header of no token', [...to('/v2/'), ['a b', 'x']]],
    ['a line break in a header', [...to('/v2/'), ['x-a', 'b\r\nc: d']]],
    ['a NUL in the path', to('/v2/\0')],
    ['a space in the path', to('/v2/ HTTP/1.1')],
    ['a byte above ASCII in the path', to('/v2/\xff')],
    ['Connection', [...to('/v2/'), ['connection', 'x-request-id']]],
    ['Transfer-Encoding', [...to('/v2/', 'POST'), ['transfer-encoding', 'chunked']]],
    ['Upgrade', [...to('/v2/'), ['upgrade', 'h2c']]],
    ['a pseudo-header after the others', [...to('/v2/'), ['x', 'y'], [':path', '/']]],
    ['a pseudo-header that is none', [[':nothing', 'x'], ...to('/v2/')]],
    ['two authorities', [...to('/v2/'), [':authority', 'b']]],
    ['an authority that is no host', [...to('/v2/').slice(0, 3), [':authority', 'a b']]],
    ['an authority with a user', [...to('/v2/').slice(0, 3), [':authority', 'a@b']]],
    ['two lengths', [...to('/v2/', 'POST'), ['content-length', '1'], ['content-length', '2']]],
    ['a length of no number', [...to('/v2/', 'POST'), ['content-length', '-1']]],
    ['a length that is not kept', [...to('/v2/', 'POST'), ['content-length', '5']]],
    ['an expectation nobody knows', [...to('/v2/'), ['expect', 'wonders']]],
    [
      'headers over the limit',
      [...to('/v2/'), ['x-a', 'a'.repeat(15_000)], ['x-b', 'b'.repeat(1300)]],
    ],
  ];
  for (const [what, fields] of malformed) {
    test(`${what} is answered or reset, and the server lives`, async () => {
      const allowed = what.endsWith('OPTIONS') ? /./ : /^(?:400|404|another|reset|goaway|closed)/;
      for (const ended of [endStream, 0]) {
        const client = await rawHttp2(stack.port);
        client.send(frameTypes.headers, ended | endHeaders, 1, headerBlock(fields));
        assert.match(await outcome(client, 1), allowed);
        client.socket.destroy();
      }
      await assertLives();
    });
  }

  test('a body where there is none to be is refused, and never read as a request', async () => {
    for (const method of ['GET', 'HEAD', 'DELETE', 'OPTIONS']) {
      const client = await rawHttp2(stack.port);
      const inner =
        'GET /v2/smuggled/tags/list HTTP/1.1\r\nHost: x\r\nX-Request-Id: smuggled\r\n\r\n';
      client.send(frameTypes.headers, endHeaders, 1, headerBlock(to('/v2/a/tags/list', method)));
      client.send(frameTypes.data, endStream, 1, Buffer.from(inner));
      assert.equal(await outcome(client, 1), '400');
      client.socket.destroy();
    }
    await assertLives();
    assert.doesNotMatch(stack.output(), /smuggled/);
  });

  const floods: readonly [what: string, send: (client: RawHttp2, index: number) => void][] = [
    ['SETTINGS', (client) => client.send(frameTypes.settings, 0, 0)],
    ['PING', (client) => client.send(frameTypes.ping, 0, 0, Buffer.alloc(8))],
    [
      'requests that are reset',
      (client, index) => {
        const id = 1 + 2 * index;
        client.send(frameTypes.headers, endHeaders | endStream, id, headerBlock(to('/v2/')));
        client.send(frameTypes.rstStream, 0, id, Buffer.from([0, 0, 0, 8]));
      },
    ],
    [
      'CONTINUATION',
      (client, index) =>
        index === 0
          ? client.send(frameTypes.headers, 0, 1, headerBlock(to('/v2/')))
          : client.send(frameTypes.continuation, 0, 1, headerBlock([['x-a', 'a'.repeat(100)]])),
    ],
    [
      'window updates of nothing',
      (client, index) => {
        const id = 1 + 2 * index;
        client.send(frameTypes.headers, endHeaders, id, headerBlock(to('/v2/', 'POST')));
        client.send(frameTypes.windowUpdate, 0, id, Buffer.alloc(4));
      },
    ],
  ];
  for (const [what, send] of floods) {
    test(`a flood of ${what} ends its connection, and no other`, async () => {
      const other = await http2Client(stack);
      const client = await rawHttp2(stack.port);
      // Nothing of the answers is taken, so that they pile up.
      if (what !== 'requests that are reset') client.socket.pause();
      for (let index = 0; index < 30_000 && !client.socket.destroyed; index += 1) {
        send(client, index);
        if (index % 1000 === 999) await sleep(1);
      }
      client.socket.resume();
      await client.untilClosed();
      other.close();
      await assertLives();
    });
  }

  test('HTTP/1.1 has its limits on the same port', async () => {
    const client = async (request: string) => {
      const socket = connect({ port: stack.port, rejectUnauthorized: false });
      await once(socket, 'secureConnect');
      let text = '';
      socket.setEncoding('latin1').on('data', (chunk: string) => {
        text += chunk;
      });
      socket.on('error', () => {});
      socket.write(request);
      await once(socket, 'close');
      return text;
    };
    const head = 'GET /v2/ HTTP/1.1\r\nHost: x\r\n';
    assert.match(await client(`${head}X-Slow: `), /^(?:HTTP\/1\.1 408 |$)/);
    assert.match(await client(`${head}X-A: ${'a'.repeat(20_000)}\r\n\r\n`), /^HTTP\/1\.1 431 /);
    assert.match(await client('hello\r\n\r\n'), /^HTTP\/1\.1 400 /);
    const refused = await client(
      'PATCH /v2/a/blobs/uploads/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n',
    );
    assert.match(refused, /^HTTP\/1\.1 40[14] .*Connection: close/s);
    await assertLives();
  });

  test('a connection without a request, or with half of one, is closed', async () => {
    const silent = await rawHttp2(stack.port);
    const half = await rawHttp2(stack.port);
    half.send(frameTypes.headers, 0, 1, headerBlock(to('/v2/')));
    await Promise.all([silent.untilClosed(), half.untilClosed()]);
    const goaway = silent.frames().find(({ type }) => type === frameTypes.goaway);
    assert.equal(goaway?.payload.readUInt32BE(4), 0);
  });

  test('an answer that is never taken does not keep its stream', async () => {
    const client = await rawHttp2(stack.port);
    // No byte of any body may be sent.
    client.send(frameTypes.settings, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0]));
    client.send(frameTypes.headers, endHeaders | endStream, 1, headerBlock(to('/v2/')));
    const reset = await client.until(({ type }) => type === frameTypes.rstStream);
    assert.equal(reset?.payload.readUInt32BE(0), 8);
    client.socket.destroy();
  });
});
