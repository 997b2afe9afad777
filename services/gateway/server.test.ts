import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectHttp2 } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { afterEach, before, describe, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { createCertificate } from '../../test/support/certificate.ts';
import { type Gateway, type GatewaySetup, startGateway } from '../../test/support/gateway.ts';
import { binaryHeader, ipv4Block, proxyLine } from '../../test/support/proxy-header.ts';

let tls: { cert: Buffer; key: Buffer };
let gateway: Gateway;

before(async () => {
  tls = await createCertificate();
});

afterEach(async () => {
  await gateway?.close();
});

const start = async (server: GatewaySetup['server'] = {}) => {
  gateway = await startGateway({ server: server ?? {} });
};

/**
 * Sends pieces, each seen by the other side before the next, and gives all that comes until the end. What comes has
 * to match an expression between them before the next is sent.
 */
async function say(socket: Socket, ...pieces: (string | Buffer | RegExp)[]): Promise<string> {
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
  });
  socket.on('error', () => {});
  for (const piece of pieces) {
    if (piece instanceof RegExp) {
      while (!piece.test(text) && !socket.closed) await once(socket, 'data');
      continue;
    }
    if (socket.writable) await new Promise((resolve) => socket.write(piece, resolve));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  if (!socket.closed) await once(socket, 'close');
  return text;
}

const plain = () => connect(gateway.port, '127.0.0.1');
const overTls = async () => {
  const socket = connectTls({ port: gateway.port, rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  return socket as Socket;
};
const statuses = (text: string) =>
  [...text.matchAll(/^HTTP\/1\.[01] (\d{3}) /gm)].map((match) => Number(match[1]));
const close = 'Connection: close\r\n\r\n';

for (const [kind, open, server] of [
  ['plain HTTP', async () => plain(), () => ({})],
  ['TLS', overTls, () => ({ tls })],
  ['HTTP/1.1 beside HTTP/2', overTls, () => ({ tls, http2: true })],
] as const) {
  describe(`a request line over ${kind}`, () => {
    const bad: readonly [what: string, pieces: string[], expected: number[]][] = [
      ['two blanks before the target', ['GET  /v2/ HTTP/1.1\r\nHost: x\r\n\r\n'], [400]],
      ['two blanks behind it', ['GET /v2/  HTTP/1.1\r\nHost: x\r\n\r\n'], [400]],
      ['two blanks, in pieces', ['GET ', ' /v2/ HTTP/1.1\r\nHo', 'st: x\r\n\r\n'], [400]],
      ['two blanks behind empty lines', ['\r\n\r\nGET  /v2/ HTTP/1.1\r\nHost: x\r\n\r\n'], [400]],
      [
        'two blanks behind more empty lines than a head has room for',
        ['\r\n'.repeat(8 * 1024), '\r\n', 'GET  /v2/ HTTP/1.1\r\nHost: x\r\n\r\n'],
        [400],
      ],
      [
        'a transfer coding besides chunked',
        [
          'PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
        ],
        [400],
      ],
      [
        'two blanks and a body',
        ['PUT  /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello'],
        [400],
      ],
    ];
    for (const [what, pieces, expected] of bad) {
      test(`with ${what} is refused, and its connection closed`, async () => {
        await start(server());
        assert.deepEqual(statuses(await say(await open(), ...pieces)), expected);
        assert.equal(gateway.core.requests.length, expected.length - 1);
      });
    }

    const good: readonly [what: string, pieces: string[], expected: number[]][] = [
      ['with an absolute target', [`GET http://x/v2/ HTTP/1.1\r\nHost: x\r\n${close}`], [200]],
      ['of HTTP/1.0', ['GET /v2/ HTTP/1.0\r\n\r\n'], [200]],
      ['behind an empty line', [`\r\nGET /v2/ HTTP/1.1\r\nHost: x\r\n${close}`], [200]],
      ['letter by letter', [...`GET /v2/ HTTP/1.1\r\nHost: x\r\n${close}`], [200]],
      [
        'far before the end of its headers',
        [
          'GET /v2/ HTTP/1.1\r\nHost: x\r\n',
          ...Array.from({ length: 14 }, (_, n) => `X-${n}: ${'y'.repeat(1000)}\r\n`),
          close,
        ],
        [200],
      ],
      [
        'of the third of three sent as one',
        [
          `GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\nPUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhelloGET /v2/a/tags/list HTTP/1.1\r\nHost: x\r\n${close}`,
        ],
        [200, 200, 200],
      ],
      [
        'in pieces behind a body',
        [
          'PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel',
          'loGET /v2',
          `/a/tags/list HTTP/1.1\r\nHost: x\r\n${close}`,
        ],
        [200, 200],
      ],
      [
        'in pieces behind a chunked body',
        [
          'PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel',
          'lo\r\n0\r\n\r\nGET /v2',
          `/a/tags/list HTTP/1.1\r\nHost: x\r\n${close}`,
        ],
        [200, 200],
      ],
    ];
    for (const [what, pieces, expected] of good) {
      test(`${what} is taken`, async () => {
        await start(server());
        assert.deepEqual(statuses(await say(await open(), ...pieces)), expected);
      });
    }

    test('and a head that is too large or none at all is answered before the end', async () => {
      await start(server());
      const large = `GET /v2/ HTTP/1.1\r\nHost: x\r\nX-A: ${'a'.repeat(20_000)}\r\n\r\n`;
      assert.deepEqual(statuses(await say(await open(), large)), [431]);
      assert.deepEqual(statuses(await say(await open(), 'hello\r\n\r\n')), [400]);
      const behind = ['GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n', /^HTTP\/1.1 200/, 'hello\r\n\r\n'];
      assert.deepEqual(statuses(await say(await open(), ...behind)), [200, 400]);
    });

    test('and two Host headers, equal ones too, are refused', async () => {
      for (const hosts of ['Host: x\r\nHost: y', 'Host: x\r\nhost: x']) {
        await start(server());
        const text = await say(await open(), `GET /v2/ HTTP/1.1\r\n${hosts}\r\n${close}`);
        assert.deepEqual(statuses(text), [400]);
        assert.match(text, /REQUEST_INVALID/);
        assert.equal(gateway.core.requests.length, 0);
        await gateway.close();
      }
    });
  });
}

const sentence = 'Client sent an HTTP request to an HTTPS server.\n';

for (const http2 of [false, true]) {
  describe(`plain HTTP on the TLS port${http2 ? ', with HTTP/2' : ''}`, () => {
    const request = 'GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n';
    const told = (text: string) => {
      assert.match(text, /^HTTP\/1\.0 400 Bad Request\r\n/);
      assert.equal(text.split('\r\n\r\n')[1], sentence);
    };

    test('is told so, with any method, and also in pieces', async () => {
      await start({ tls, http2 });
      for (const method of ['GET', 'HEAD', 'POST', 'PATCH', 'OPTIONS', 'CONNECT', 'PRI']) {
        told(await say(plain(), `${method} /v2/ HTTP/1.1\r\nHost: x\r\n\r\n`));
      }
      told(await say(plain(), 'G', 'ET /v2/ HTTP/1.1\r\n'));
    });

    test('behind a PROXY header too, in the same piece and in another', async () => {
      await start({ tls, http2, proxyProtocol: true });
      const line = proxyLine('203.0.113.7');
      told(await say(plain(), line, request));
      told(await say(plain(), Buffer.concat([line, Buffer.from(request)])));
      told(await say(plain(), binaryHeader({ rest: ipv4Block([203, 0, 113, 7]) }), request));
    });

    test('and what is neither is closed without a word', async () => {
      await start({ tls, http2 });
      for (const bytes of ['\0\0\0\0', 'hello\r\n', '   ']) {
        assert.doesNotMatch(await say(plain(), bytes, bytes.repeat(10)), /HTTP/);
      }
    });

    test('TLS goes on as ever, whatever the pieces of its first bytes', async () => {
      await start({ tls, http2, proxyProtocol: true });
      const raw = plain();
      raw.write(proxyLine('203.0.113.7'));
      const client = connectTls({
        socket: raw,
        rejectUnauthorized: false,
        ALPNProtocols: ['http/1.1'],
      });
      await once(client, 'secureConnect');
      const text = await say(client, `GET /v2/ HTTP/1.1\r\nHost: x\r\n${close}`);
      assert.deepEqual(statuses(text), [200]);
      assert.equal(gateway.core.requests[0]?.headers['x-portcullis-client'], '203.0.113.7');
    });

    test('who says nothing is let go when the handshake’s time is over', async () => {
      await start({ tls, http2, handshakeTimeout: 50 });
      assert.equal(await say(plain()), '');
    });
  });
}

test('HTTP/2 is spoken as ever behind the first look', async () => {
  await start({ tls, http2: true });
  const session = connectHttp2(`https://localhost:${gateway.port}`, { rejectUnauthorized: false });
  const stream = session.request({ ':path': '/v2/' });
  const [headers] = await once(stream, 'response');
  assert.equal(headers[':status'], 200);
  stream.resume();
  session.destroy();
});
