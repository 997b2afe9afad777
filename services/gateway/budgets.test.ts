import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { createCertificate } from '../../test/support/certificate.ts';
import { exchange } from '../../test/support/exchange.ts';
import { type Gateway, type GatewaySetup, startGateway } from '../../test/support/gateway.ts';
import { proxyLine } from '../../test/support/proxy-header.ts';
import { type RawClient, rawClient } from '../../test/support/raw-client.ts';
import { hang } from '../../test/support/scripted-peer.ts';
import { createTemporaryFolder } from '../../test/support/temporary-folder.ts';
import { waitFor } from '../../test/support/wait-for.ts';

describe('what the edge shares out among networks', () => {
  let gateway: Gateway;
  let clients: RawClient[] = [];

  afterEach(async () => {
    for (const { socket } of clients) socket.destroy();
    clients = [];
    await gateway?.close();
  });

  const start = async (setup: GatewaySetup) => {
    gateway = await startGateway(setup);
  };
  const open = async (address: string) => {
    const client = await rawClient(gateway.port);
    clients.push(client);
    client.send(proxyLine(address).toString());
    return client;
  };
  const get = 'GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n';

  test('connections: three quarters are one’s alone, and then others have their share', async () => {
    await start({ limits: { connections: 16 }, server: { proxyProtocol: true } });
    for (let count = 0; count < 12; count += 1) await open('203.0.113.7');
    await waitFor('all of them', () => gateway.budgets.connections.used === 12);
    const refused = await open('203.0.113.7');
    refused.send(get);
    const text = await refused.untilClosed();
    assert.match(text, /^HTTP\/1\.1 429 .*Retry-After: 5/s);
    assert.match(text, /TOOMANYREQUESTS/);
    const other = await open('203.0.113.8');
    other.send(get);
    assert.match(await other.until(/\r\n\r\n/), /^HTTP\/1\.1 200 /);
    for (const { socket } of clients) socket.destroy();
    await waitFor('all to be given back', () => gateway.budgets.connections.used === 0);
  });

  test('connections: one that had no share when it came gets one when there is one', async () => {
    await start({ limits: { connections: 16 }, server: { proxyProtocol: true } });
    for (let count = 0; count < 12; count += 1) await open('203.0.113.7');
    await waitFor('all of them', () => gateway.budgets.connections.used === 12);
    const late = await open('203.0.113.7');
    clients[0]?.socket.destroy();
    await waitFor('one to go', () => gateway.budgets.connections.used === 11);
    late.send(get);
    assert.match(await late.until(/\r\n\r\n/), /^HTTP\/1\.1 200 /);
    assert.equal(gateway.budgets.connections.used, 12);
  });

  test('connections: those without a share are few, and let go if they say nothing', async () => {
    await start({ limits: { connections: 80 } });
    for (let count = 0; count < 60; count += 1) clients.push(await rawClient(gateway.port));
    await waitFor('all of them', () => gateway.budgets.connections.used === 60);
    const late = await Promise.all(Array.from({ length: 4 }, () => rawClient(gateway.port)));
    clients.push(...late);
    const kept = () => late.filter(({ socket }) => !socket.destroyed && socket.readable).length;
    await waitFor('two to be dropped', () => kept() === 2);
    await waitFor('the others to be let go', () => kept() === 0);
    assert.equal(gateway.budgets.connections.used, 60);
    const again = await rawClient(gateway.port);
    clients.push(again);
    again.send(get);
    assert.match(await again.untilClosed(), /^HTTP\/1\.1 429 /);
  });

  test('connections: those of a Unix socket are given back too', async () => {
    await using folder = await createTemporaryFolder();
    const socket = join(folder.path, 'gateway.sock');
    await start({ limits: { connections: 16 }, socket });
    const ten = Array.from({ length: 10 }, () => connect(socket));
    await waitFor('ten', () => gateway.budgets.connections.used === 10);
    for (const one of ten) one.destroy();
    await waitFor('none', () => gateway.budgets.connections.used === 0);
  });

  test('connections: over TLS too one without a share is told so', async () => {
    const tls = await createCertificate();
    for (const http2 of [false, true]) {
      await start({ limits: { connections: 16 }, server: { tls, http2 } });
      for (let count = 0; count < 12; count += 1) clients.push(await rawClient(gateway.port));
      await waitFor('all of them', () => gateway.budgets.connections.used === 12);
      const one = connectTls({ port: gateway.port, rejectUnauthorized: false });
      one.write(get);
      const [text] = await once(one, 'data');
      assert.match(String(text), /^HTTP\/1\.1 429 /);
      one.destroy();
      if (http2) {
        const session = connectHttp2(`https://localhost:${gateway.port}`, {
          rejectUnauthorized: false,
        });
        session.on('error', () => {});
        const [headers] = await once(session.request({ ':path': '/v2/' }), 'response');
        assert.equal(headers[':status'], 429);
        session.destroy();
      }
      for (const { socket } of clients.splice(0)) socket.destroy();
      await gateway.close();
    }
  });

  test('connections: a flood ends at accept', async () => {
    await start({ limits: { connections: 16 } });
    const flood = await Promise.all(Array.from({ length: 40 }, () => rawClient(gateway.port)));
    clients.push(...flood);
    await waitFor('the rest to be dropped', () => {
      const alive = flood.filter(({ socket }) => !socket.destroyed && socket.readable).length;
      return alive <= 18;
    });
    // Those that were admitted stay.
    const alive = flood.filter(({ socket }) => !socket.destroyed && socket.readable).length;
    assert.ok(alive >= 12, `${alive} are left`);
  });

  test('requests: who has too many in flight is refused, also over one connection of HTTP/2', async () => {
    const tls = await createCertificate();
    await start({ limits: { requests: 16 }, server: { tls, http2: true } });
    gateway.core.otherwise(hang);
    const session = connectHttp2(`https://localhost:${gateway.port}`, {
      rejectUnauthorized: false,
    });
    session.on('error', () => {});
    const ask = () => {
      const stream = session.request({ ':path': '/v2/' });
      stream.on('error', () => {});
      return stream;
    };
    for (let count = 0; count < 12; count += 1) ask();
    await waitFor('all of them', () => gateway.core.requests.length === 12);
    const [headers] = await once(ask(), 'response');
    assert.equal(headers[':status'], 429);
    assert.equal(headers['retry-after'], '5');
    session.destroy();
    await waitFor('all to be given back', () => gateway.budgets.requests.used === 0);
  });

  test('requests: one with a body counts as four, for what of it is in memory', async () => {
    await start({ limits: { requests: 16 } });
    gateway.core.otherwise(hang);
    const agent = new Agent({ keepAlive: true });
    const target = { agent, port: gateway.port, method: 'POST', path: '/v2/a/blobs/uploads/' };
    const pushes = Array.from({ length: 3 }, () =>
      exchange(target, { body: Buffer.alloc(10) }).catch(() => undefined),
    );
    await waitFor('all of them', () => gateway.budgets.requests.used === 12);
    assert.equal((await gateway.send('GET', '/v2/')).status, 429);
    agent.destroy();
    await Promise.all(pushes);
    await waitFor('all to be given back', () => gateway.budgets.requests.used === 0);
  });

  test('requests: a proxy that is trusted is not the client', async () => {
    await start({ limits: { requests: 16 }, trustedProxies: ['127.0.0.1'] });
    gateway.core.otherwise(hang);
    const agent = new Agent({ keepAlive: true });
    const ask = async (client: string) => {
      const headers = { 'X-Forwarded-For': client };
      const target = { agent, port: gateway.port, method: 'GET', path: '/v2/' };
      return await exchange(target, { headers });
    };
    const hanging = Array.from({ length: 12 }, () => ask('203.0.113.7').catch(() => undefined));
    await waitFor('all of them', () => gateway.core.requests.length === 12);
    assert.equal((await ask('203.0.113.7')).status, 429);
    const other = ask('203.0.113.8').catch(() => undefined);
    await waitFor('another client’s', () => gateway.core.requests.length === 13);
    agent.destroy();
    await Promise.all([...hanging, other]);
  });

  test('a thousand requests at once are no more than anybody may ask', async () => {
    await start({});
    const answers = await Promise.all(
      Array.from({ length: 1000 }, () => gateway.send('GET', '/v2/')),
    );
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
  });

  test('requests: one that gets something of a repository counts as four', async () => {
    await start({ limits: { requests: 16 } });
    gateway.core.otherwise(hang);
    const client = await rawClient(gateway.port);
    clients.push(client);
    client.send(`GET /v2/a/blobs/sha256:${'a'.repeat(64)} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await waitFor('its share', () => gateway.budgets.requests.used === 4);
  });

  test('streams of HTTP/2: beyond the share of a network they are reset at once, whether requests are served or not', async () => {
    await start({
      limits: { requests: 16 },
      server: { tls: await createCertificate(), http2: true },
    });
    const session = connectHttp2(`https://127.0.0.1:${gateway.port}`, {
      rejectUnauthorized: false,
      settings: { initialWindowSize: 0 },
    });
    session.on('error', () => {});
    try {
      // Answers that are not taken: those of refusals are given up after a second.
      const streams = Array.from({ length: 40 }, () => {
        const stream = session.request({ ':path': '/' });
        stream.on('error', () => {});
        return stream;
      });
      await waitFor('most to be reset', () => streams.filter(({ closed }) => closed).length >= 20);
      const codes = new Set(streams.filter(({ closed }) => closed).map(({ rstCode }) => rstCode));
      assert.ok(codes.has(7), 'REFUSED_STREAM');
      assert.ok(gateway.budgets.streams.used <= 20);
    } finally {
      session.destroy();
    }
    await waitFor('all to be given back', () => gateway.budgets.streams.used === 0);
  });
});
