import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { type ClientHttp2Session, connect, constants } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { before, describe, test } from 'node:test';
import { drain } from '#libs/http/serve.ts';
import { createBudget } from '#libs/limits/budget.ts';
import { createCertificate } from '../../../test/support/certificate.ts';
import { createSmallBudget } from '../../../test/support/small-budget.ts';
import { waitFor } from '../../../test/support/wait-for.ts';
import { createHttp2Server } from './server.ts';

describe('createHttp2Server', () => {
  let tls: { cert: Buffer; key: Buffer };

  before(async () => {
    tls = await createCertificate();
  });

  const hour = 3_600_000;
  const serve = async (
    listener: RequestListener,
    times: { keepAlive?: number } = {},
    streams = createSmallBudget(),
  ) => {
    const limits = {
      streams,
      handshake: hour,
      headersTimeout: hour,
      keepAlive: hour,
      idle: hour,
      ...times,
    };
    const server = createHttp2Server({ tls, ...limits }, listener);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const session = connect(`https://localhost:${port}`, { rejectUnauthorized: false });
    session.on('error', () => {});
    return { server, session };
  };
  const ask = async (session: ClientHttp2Session) => {
    const stream = session.request({ ':path': '/' });
    const [headers] = await once(stream, 'response');
    stream.resume();
    await once(stream, 'close');
    return headers[':status'];
  };

  test('a session without a stream is told to go when its time is over', async () => {
    const { server, session } = await serve((_, response) => response.end(), { keepAlive: 20 });
    const told = once(session, 'goaway');
    assert.equal(await ask(session), 200);
    assert.equal((await told)[0], 0);
    if (!session.destroyed) await once(session, 'close');
    await drain(server, 0);
  });

  test('a session with a stream stays', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { server, session } = await serve(
      (request, response) => void promise.then(() => response.end(request.url)),
      { keepAlive: 1 },
    );
    const [first, second] = [
      session.request({ ':path': '/a' }),
      session.request({ ':path': '/b' }),
    ];
    second.close();
    await once(second, 'close');
    await new Promise((pong) => session.ping(pong));
    resolve();
    const [headers] = await once(first, 'response');
    assert.equal(headers[':status'], 200);
    session.destroy();
    await drain(server, 0);
  });

  test('what is sent of the connection in an answer is left out', async () => {
    const { server, session } = await serve((_, response) => {
      response.setHeader('Connection', 'close');
      response.setHeader('Keep-Alive', 'timeout=5');
      response.setHeader('X-Kept', ['a', 'b']);
      response.end();
    });
    const stream = session.request({ ':path': '/' });
    const [headers] = await once(stream, 'response');
    assert.equal(headers['keep-alive'], undefined);
    assert.equal(headers['x-kept'], 'a, b');
    session.destroy();
    await drain(server, 0);
  });

  test('an answer broken off is an error to the client', async () => {
    const { server, session } = await serve((_, response) => {
      response.write('half', () => response.destroy());
    });
    const stream = session.request({ ':path': '/' });
    stream.resume();
    const [error] = await once(stream, 'error');
    assert.match((error as Error).message, /INTERNAL_ERROR/);
    session.destroy();
    await drain(server, 0);
  });

  test('a drain that is over cuts what still runs', async () => {
    const { server, session } = await serve((_, response) => response.flushHeaders());
    const stream = session.request({ ':path': '/' });
    stream.on('error', () => {});
    await once(stream, 'response');
    const closed = once(session, 'close');
    await drain(server, 20);
    await closed;
  });

  const takeAll: RequestListener = (request, response) => {
    request.resume();
    request.once('end', () => response.end());
  };

  test('many small bodies are no body in small pieces', async () => {
    const { server, session } = await serve(takeAll);
    for (let count = 0; count < 1200; count += 1) {
      const stream = session.request({ ':method': 'POST', ':path': '/' });
      stream.end('{}').resume();
      await once(stream, 'close');
      assert.equal(stream.rstCode, 0);
    }
    session.destroy();
    await drain(server, 0);
  });

  test('a body in pieces of next to nothing ends the session, which is told why', async () => {
    const { server, session } = await serve(takeAll);
    const told = once(session, 'goaway');
    const stream = session.request({ ':method': 'POST', ':path': '/' });
    stream.on('error', () => {});
    const writing = (async () => {
      while (!stream.destroyed) await new Promise((resolve) => stream.write('x', resolve));
    })();
    assert.equal((await told)[0], constants.NGHTTP2_ENHANCE_YOUR_CALM);
    session.destroy();
    await writing;
    await drain(server, 0);
  });

  test('streams that are refused are counted', async () => {
    const budget = createBudget({ name: 'streams', capacity: 4, maxWait: 0, message: 'too many' });
    const { server, session } = await serve(() => {}, {}, budget);
    const streams = Array.from({ length: 10 }, () => session.request({ ':path': '/' }));
    for (const stream of streams) stream.on('error', () => {});
    await waitFor(
      'all but the share of one',
      () => streams.filter(({ closed }) => closed).length === 7,
    );
    assert.deepEqual([budget.used, budget.refused], [3, 7]);
    session.destroy();
    await drain(server, 0);
  });
});
