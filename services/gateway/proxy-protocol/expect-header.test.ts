import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  request,
  type Server,
} from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { before, describe, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import fc from 'fast-check';
import { applyTimeouts, drain, serverOptions } from '#libs/http/serve.ts';
import { createCertificate } from '../../../test/support/certificate.ts';
import { binaryHeader, extra, ipv4Block, proxyLine } from '../../../test/support/proxy-header.ts';
import { createRecordingLog } from '../../../test/support/recording-log.ts';
import { segmentedSocket } from '../../../test/support/segmented-socket.ts';
import { createSmallBudget } from '../../../test/support/small-budget.ts';
import { waitFor } from '../../../test/support/wait-for.ts';
import { createHttp2Server } from '../http2/server.ts';
import { expectProxyHeader } from './expect-header.ts';

const MiB = 1024 * 1024;
const hour = 3_600_000;
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
const takeAll = async (stream: AsyncIterable<Buffer>) =>
  Buffer.concat(await Array.fromAsync(stream));

type Listener = (...exchange: Parameters<RequestListener>) => void | Promise<void>;

/** Says who sent the body, and what it was. */
const echo: Listener = async (incoming, response) => {
  const body = await takeAll(incoming);
  response.end(`${incoming.socket.remoteAddress} ${sha256(body)}`);
};

describe('a server that expects a PROXY header', () => {
  let tls: { cert: Buffer; key: Buffer };

  before(async () => {
    tls = await createCertificate();
  });

  const times = { handshake: hour, headersTimeout: hour, keepAlive: hour, idle: hour };
  const streams = createSmallBudget();
  const servers: Readonly<Record<string, (listener: RequestListener) => Server>> = {
    'plain HTTP': (listener) => createServer(serverOptions, listener),
    HTTPS: (listener) => createHttpsServer({ ...serverOptions, ...tls }, listener),
    'HTTP/1.1 beside HTTP/2': (listener) => createHttp2Server({ tls, streams, ...times }, listener),
    'HTTP/2': (listener) => createHttp2Server({ tls, streams, ...times }, listener),
  };

  interface Setup {
    listener?: Listener;
    isProxy?: boolean;
    timeout?: number;
  }

  async function serve(
    kind: string,
    { listener = echo, isProxy = true, timeout = hour }: Setup = {},
  ) {
    const server =
      servers[kind]?.((...exchange) => void listener(...exchange)) ?? assert.fail(kind);
    const { log, messages } = createRecordingLog('debug');
    const requests: string[] = [];
    server.on('request', (incoming) => requests.push(incoming.url ?? ''));
    applyTimeouts(server, { headers: hour, keepAlive: hour });
    expectProxyHeader(server, { isProxy: () => isProxy, timeout, log });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return { server, messages, requests, port: (server.address() as AddressInfo).port };
  }

  /** Sends a body over a connection, in the way of the kind of server, and takes the answer. */
  async function send(kind: string, connection: Duplex, body: Buffer): Promise<string> {
    if (kind === 'HTTP/2') {
      const session = connectHttp2('https://localhost', {
        createConnection: () => secure(connection, 'h2'),
      });
      session.on('error', () => {});
      const stream = session.request({ ':method': 'POST', ':path': '/' });
      stream.end(body);
      const answer = await takeAll(stream);
      session.close();
      return answer.toString();
    }
    const outgoing = request({
      method: 'POST',
      headers: { Connection: 'close' },
      createConnection: () =>
        (kind === 'plain HTTP' ? connection : secure(connection, 'http/1.1')) as Socket,
    });
    outgoing.end(body);
    const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
    if (incoming.statusCode !== 200) throw new Error(`refused with ${incoming.statusCode}`);
    return (await takeAll(incoming)).toString();
  }

  const secure = (socket: Duplex, protocol: string) => {
    const secured = connectTls({ socket, ALPNProtocols: [protocol], rejectUnauthorized: false });
    return secured.on('error', () => {});
  };

  const binary = binaryHeader({
    rest: Buffer.concat([ipv4Block([203, 0, 113, 7]), extra(0xe4, Buffer.alloc(300))]),
  });
  const local = binaryHeader({ command: 0x20, family: 0 });

  for (const kind of Object.keys(servers)) {
    describe(kind, () => {
      test('loses nothing, however the first bytes are cut into segments', async () => {
        const { server, port } = await serve(kind);
        const cuts = fc.array(fc.nat(700), { maxLength: 6 });
        const header = fc.constantFrom(
          [binary, '203.0.113.7'] as const,
          [proxyLine('198.51.100.9'), '198.51.100.9'] as const,
          [proxyLine('2001:db8::7'), '2001:db8::7'] as const,
          [Buffer.from('PROXY UNKNOWN\r\n'), '127.0.0.1'] as const,
          [local, '127.0.0.1'] as const,
        );
        const property = fc.asyncProperty(header, cuts, async ([bytes, client], places) => {
          const body = randomBytes(100_000);
          const answer = await send(kind, segmentedSocket(port, bytes, places), body);
          assert.equal(answer, `${client} ${sha256(body)}`);
        });
        await fc.assert(property, { numRuns: 40, endOnFailure: true });
        await drain(server, 0);
      });

      test('a body of megabytes arrives whole', async () => {
        const { server, port } = await serve(kind);
        const body = randomBytes(20 * MiB);
        const answer = await send(kind, segmentedSocket(port, binary), body);
        assert.equal(answer, `203.0.113.7 ${sha256(body)}`);
        await drain(server, 0);
      });

      test('connections of others are theirs as they are', async () => {
        const { server, port } = await serve(kind, { isProxy: false });
        const body = randomBytes(1000);
        const answer = await send(kind, segmentedSocket(port, Buffer.alloc(0)), body);
        assert.equal(answer, `127.0.0.1 ${sha256(body)}`);
        await assert.rejects(send(kind, segmentedSocket(port, binary), body));
        await drain(server, 0);
      });

      test('what comes without a header is closed, and is no request', async () => {
        const { server, port, messages, requests } = await serve(kind);
        await assert.rejects(send(kind, segmentedSocket(port, Buffer.alloc(0)), Buffer.alloc(9)));
        await assert.rejects(
          send(kind, segmentedSocket(port, Buffer.alloc(100_000, 'PROXY ')), Buffer.alloc(9)),
        );
        assert.deepEqual(requests, []);
        const line = 'debug: closing a connection without a proper PROXY header';
        assert.deepEqual(messages(), [line, line]);
        await drain(server, 0);
      });

      test('half a header is closed when its time is over', async () => {
        const { server, port, messages, requests } = await serve(kind, { timeout: 50 });
        for (const half of ['', 'PROXY TCP4 203.0', binary.subarray(0, 100)]) {
          const socket = connect(port, '127.0.0.1');
          socket.write(half);
          await once(socket.resume(), 'close');
        }
        assert.equal(messages().length, 3);
        assert.deepEqual(requests, []);
        await drain(server, 0);
      });

      test('a proxy that looks whether we live leaves nothing behind', async () => {
        const { server, port } = await serve(kind);
        for (const bytes of ['', 'PROXY', proxyLine('203.0.113.7'), local]) {
          const socket = connect(port, '127.0.0.1');
          socket.end(bytes);
          await once(socket.resume(), 'close');
          const other = connect(port, '127.0.0.1');
          await once(other, 'connect');
          await new Promise((written) => other.write(bytes, written));
          other.resetAndDestroy();
        }
        const open = () =>
          new Promise<number>((resolve) => server.getConnections((_, count) => resolve(count)));
        await waitFor('the last to be gone', async () => (await open()) === 0);
        await drain(server, hour);
      });

      test('a drain closes who has not said its header, and lets a request end', async () => {
        const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
        const { promise: allowed, resolve: allow } = Promise.withResolvers<void>();
        const { server, port } = await serve(kind, {
          async listener(incoming, response) {
            ask();
            await allowed;
            await echo(incoming, response);
          },
        });
        const waiting = connect(port, '127.0.0.1');
        waiting.write('PROXY TCP4');
        const body = randomBytes(1000);
        const answer = send(kind, segmentedSocket(port, binary), body);
        await asked;
        const drained = drain(server, hour);
        await once(waiting.resume(), 'close');
        allow();
        assert.equal(await answer, `203.0.113.7 ${sha256(body)}`);
        await drained;
      });
    });
  }

  test('whoever does not read the body stops whoever sends it', async () => {
    const { promise: asked, resolve: ask } = Promise.withResolvers<void>();
    const { server, port } = await serve('plain HTTP', { listener: () => ask() });
    const socket = connect(port, '127.0.0.1');
    const all = 256 * MiB;
    socket.write(binary);
    socket.write(`PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: ${all}\r\n\r\n`);
    await asked;
    let sent = 0;
    const pour = () => {
      while (sent < all && socket.write(Buffer.alloc(MiB))) sent += MiB;
    };
    socket.on('drain', pour);
    pour();
    let seen = -1;
    let still = 0;
    await waitFor('the sender to stand still', () => {
      still = sent === seen ? still + 1 : 0;
      seen = sent;
      return still === 25;
    });
    assert.ok(sent < all / 2, `${sent} bytes left the sender`);
    socket.destroy();
    await drain(server, 0);
  });
});
