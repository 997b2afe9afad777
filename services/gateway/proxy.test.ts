import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { createUploadId } from '#libs/oci/upload-id.ts';
import type { Received } from '../../test/support/exchange.ts';
import { type Gateway, type GatewaySetup, startGateway } from '../../test/support/gateway.ts';
import { rawClient } from '../../test/support/raw-client.ts';
import {
  type Act,
  after as afterwards,
  answer,
  answerEarly,
  cut,
  freeze,
  garbage,
  half,
  hang,
} from '../../test/support/scripted-peer.ts';
import { createTokenServer, may } from '../../test/support/tokens.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import type { UnansweredRequest } from './give-up.ts';

const session = () => `/v2/a/blobs/uploads/${createUploadId()}`;
const MiB = 1024 * 1024;

const refused = answerEarly(503, '{}', { 'X-Portcullis-Refused': 'stopping' });

describe('the way to a core', () => {
  let gateway: Gateway;

  afterEach(async () => {
    await gateway?.close();
  });

  const start = async (setup: GatewaySetup = {}) => {
    gateway = await startGateway(setup);
    return gateway;
  };
  const seen = () => gateway.cores.reduce((sum, core) => sum + core.requests.length, 0);

  describe('that fails', () => {
    const faults: readonly [what: string, act: Act][] = [
      ['cuts the connection', cut],
      ['answers garbage', garbage],
    ];
    for (const [what, act] of faults) {
      test(`GET is tried once more where a core ${what}`, async () => {
        await start();
        gateway.core.next(act, answer(200, 'here'));
        const { status, text } = await gateway.send('GET', '/v2/a/tags/list');
        assert.deepEqual([status, text], [200, 'here']);
      });

      test(`GET is 503 where each core ${what}, and was sent once more`, async () => {
        await start({ cores: 4 });
        for (const core of gateway.cores) core.otherwise(act);
        const { status, codes, headers } = await gateway.send('GET', '/v2/a/tags/list');
        assert.deepEqual([status, ...codes], [503, 'UNAVAILABLE']);
        assert.equal(headers['retry-after'], '2');
        assert.equal(seen(), 2);
      });

      for (const method of ['PUT', 'PATCH', 'POST', 'DELETE']) {
        test(`${method} that a core may have seen is 503 and never sent again where it ${what}`, async () => {
          await start({ cores: 2 });
          for (const core of gateway.cores) core.otherwise(act);
          const path = method === 'POST' ? '/v2/a/blobs/uploads/' : session();
          const body = method === 'DELETE' ? {} : { body: 'hello' };
          const { status, codes } = await gateway.send(method, path, body);
          assert.deepEqual([status, ...codes], [503, 'UNAVAILABLE']);
          assert.equal(seen(), 1);
        });
      }
    }

    for (const by of ['unix', 'tcp'] as const) {
      test(`a write that never left us goes to the next core, whole, by ${by}`, async () => {
        await start({ cores: 2, by });
        const path = session();
        await gateway.send('PATCH', path, { body: 'a' });
        const first = gateway.cores.find((core) => core.requests.length === 1);
        const other = gateway.cores.find((core) => core !== first);
        await first?.stop();
        const body = Buffer.alloc(3 * MiB, 'x');
        assert.equal((await gateway.send('PATCH', path, { body })).status, 200);
        assert.deepEqual(await other?.requests[0]?.whole, body);
        // It gets nothing more until it answers that it is ready.
        assert.equal((await gateway.send('PATCH', path, { body: 'b' })).status, 200);
        assert.equal(other?.requests.length, 2);
        await first?.start();
        await waitFor('the first core to be asked again', async () => {
          await gateway.send('PATCH', path, { body: 'c' });
          return (first?.requests.length ?? 0) > 1;
        });
      });
    }

    test('what one session sends goes to one core', async () => {
      await start({ cores: 3 });
      const path = session();
      for (let count = 0; count < 6; count += 1) await gateway.send('PATCH', path, { body: 'x' });
      assert.deepEqual(gateway.cores.map((core) => core.requests.length).sort(), [0, 0, 6]);
    });

    test('the 503 of a core is the client’s, with its Retry-After, and not tried again', async () => {
      await start({ cores: 2 });
      for (const core of gateway.cores) core.otherwise(answer(503, '{}', { 'Retry-After': '10' }));
      const { status, headers } = await gateway.send('GET', '/v2/a/tags/list');
      assert.deepEqual([status, headers['retry-after']], [503, '10']);
      assert.equal(seen(), 1);
    });

    for (const [method, path] of [
      ['GET', '/v2/a/tags/list'],
      ['POST', '/v2/a/blobs/uploads/'],
      ['DELETE', '/v2/a/manifests/latest'],
    ] as const) {
      test(`${method} that a core did not take, because it stops, goes to another`, async () => {
        await start({ cores: 2 });
        const [stopping, other] = gateway.cores;
        stopping?.otherwise(refused);
        other?.otherwise(answer(204));
        await waitFor('the one that stops to be asked', async () => {
          assert.equal((await gateway.send(method, path)).status, 204);
          return stopping?.requests.length === 1;
        });
      });
    }

    test('a body that a core did not take, because it stops, is 503 and not sent in two halves', async () => {
      await start({ cores: 2 });
      for (const core of gateway.cores) core.otherwise(refused);
      const body = Buffer.alloc(MiB, 'x');
      const { status, codes } = await gateway.send('PATCH', session(), { body });
      assert.deepEqual([status, ...codes], [503, 'UNAVAILABLE']);
      assert.equal(seen(), 1);
    });

    test('half an answer is a broken one, and never looks whole', async () => {
      await start();
      gateway.core.next(half('abc', 10));
      await assert.rejects(gateway.send('GET', '/v2/a/tags/list'), /aborted|ECONNRESET/);
      assert.equal(seen(), 1);
    });
  });

  describe('that answers before the body is there', () => {
    for (const [how, framing, first] of [
      ['with a length', 'Content-Length: 1073741824\r\n', ''],
      ['chunked', 'Transfer-Encoding: chunked\r\n', '40000000\r\n'],
    ] as const) {
      test(`its answer reaches the client, and the rest of a body ${how} is not swallowed`, async () => {
        await start();
        gateway.core.next(answerEarly(416, '', { Range: '0-9' }));
        const client = await rawClient(gateway.port);
        client.send(`PATCH ${session()} HTTP/1.1\r\nHost: x\r\n${framing}\r\n${first}`);
        const answered = await client.until(/\r\n\r\n/);
        assert.match(answered, /^HTTP\/1\.1 416 .*Range: 0-9/s);
        assert.match(answered, /Connection: close/);
        assert.ok((await client.pour(16 * MiB)) <= 2 * MiB);
        await client.untilClosed();
        const refused = await gateway.core.request(0);
        await refused.closed;
      });
    }
  });

  describe('when the client leaves', () => {
    test('before the answer, its request at the core goes too', async () => {
      await start();
      gateway.core.next(hang);
      const client = await rawClient(gateway.port);
      client.send('GET /v2/a/tags/list HTTP/1.1\r\nHost: x\r\n\r\n');
      const request = await gateway.core.request(0);
      client.socket.destroy();
      await request.closed;
      assert.equal(request.abandoned(), true);
    });

    test('in the middle of its body, the core sees it cut short, never whole', async () => {
      await start();
      gateway.core.next(hang);
      const client = await rawClient(gateway.port);
      client.send(`PATCH ${session()} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc`);
      const request = await gateway.core.request(0);
      await waitFor('the bytes', () => request.body().length === 3);
      client.socket.destroy();
      await assert.rejects(request.whole);
    });

    test('in the middle of a download, nothing of it stays open', async () => {
      await start();
      gateway.core.next((_, { response }) => {
        response.writeHead(200, { 'Content-Length': 64 * MiB });
        response.write(Buffer.alloc(32 * MiB));
      });
      const client = await rawClient(gateway.port);
      client.send('GET /v2/a/tags/list HTTP/1.1\r\nHost: x\r\n\r\n');
      await client.until(/\r\n\r\n/);
      client.socket.destroy();
      const request = await gateway.core.request(0);
      await request.closed;
      assert.equal(request.abandoned(), true);
    });

    test('while its password was looked at, nothing of it reaches the core', async () => {
      const tokens = await createTokenServer();
      await start({ verifier: tokens.verifier });
      const gate = Promise.withResolvers<void>();
      const access = [may('a', 'pull', 'push')];
      const granted = answer(200, JSON.stringify({ token: await tokens.issue({ access }) }));
      gateway.auth.next(afterwards(gate.promise, granted));
      const client = await rawClient(gateway.port);
      const credentials = `Authorization: Basic ${btoa('alice:secret')}\r\n`;
      client.send(
        `PATCH ${session()} HTTP/1.1\r\nHost: x\r\n${credentials}Content-Length: 10\r\n\r\nabc`,
      );
      const asked = await gateway.auth.request(0);
      client.socket.destroy();
      await waitFor('the gateway to notice', () =>
        gateway.messages().some((line) => line === 'info: request'),
      );
      gate.resolve();
      await asked.closed;
      const headers = await tokens.bearer({ access });
      assert.equal((await gateway.send('GET', '/v2/a/tags/list', { headers })).status, 200);
      assert.deepEqual(
        gateway.core.requests.map(({ method }) => method),
        ['GET'],
      );
    });
  });

  describe('that takes its time', () => {
    test('is waited for, however long, as long as the client can do nothing about it', async () => {
      await start({ idle: 50 });
      const gate = Promise.withResolvers<void>();
      gateway.core.next(afterwards(gate.promise, answer(202, 'slow')));
      const sent = gateway.send('PATCH', session(), { body: Buffer.alloc(4 * MiB) });
      await gateway.core.request(0);
      // Ten times the idle time, in which the core does not read.
      await new Promise((resolve) => setTimeout(resolve, 500));
      gate.resolve();
      assert.equal((await sent).status, 202);
    });

    test('is waited for also where the body comes in small pieces', async () => {
      await start({ idle: 50 });
      const gate = Promise.withResolvers<void>();
      gateway.core.next(afterwards(gate.promise, answer(202, 'slow')));
      const client = await rawClient(gateway.port);
      client.send(`PATCH ${session()} HTTP/1.1\r\nHost: x\r\nContent-Length: ${2 * MiB}\r\n\r\n`);
      await gateway.core.request(0);
      const piece = 'x'.repeat(8192);
      for (let sent = 0; sent < 2 * MiB; sent += piece.length) {
        client.send(piece);
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      gate.resolve();
      assert.match(await client.until(/slow/), /^HTTP\/1\.1 202 /);
      client.socket.destroy();
    });

    test('is waited for also where an answer to a later request on the connection is ready', async () => {
      await start({ idle: 50 });
      const gate = Promise.withResolvers<void>();
      gateway.core.next(afterwards(gate.promise, answer(204)), answer(200, 'x'.repeat(1000)));
      const client = await rawClient(gateway.port);
      client.send('GET /v2/a/manifests/v1 HTTP/1.1\r\nHost: x\r\n\r\n');
      await gateway.core.request(0);
      client.send('GET /v2/a/tags/list HTTP/1.1\r\nHost: x\r\n\r\n');
      await (await gateway.core.request(1)).closed;
      await new Promise((resolve) => setTimeout(resolve, 500));
      gate.resolve();
      assert.match(await client.until(/x{1000}/), /^HTTP\/1\.1 204 .*HTTP\/1\.1 200 /s);
      client.socket.destroy();
    });

    test('is waited for also where it is the second one that was tried', async () => {
      await start({ idle: 50, cores: 2, by: 'tcp' });
      const path = session();
      await gateway.send('PATCH', path, { body: 'a' });
      const first = gateway.cores.find((core) => core.requests.length === 1);
      const other = gateway.cores.find((core) => core !== first);
      await first?.stop();
      const gate = Promise.withResolvers<void>();
      other?.next(afterwards(gate.promise, answer(202, 'slow')));
      const sent = gateway.send('PATCH', path, { body: Buffer.alloc(4 * MiB) });
      const outcome = sent.then(
        ({ status }) => status,
        (error: Error) => error.message,
      );
      await other?.request(0);
      await new Promise((resolve) => setTimeout(resolve, 500));
      gate.resolve();
      assert.equal(await outcome, 202);
    });

    test('a client that stands still is let go', async () => {
      await start({ idle: 50 });
      gateway.core.next(hang);
      const client = await rawClient(gateway.port);
      client.send(`PATCH ${session()} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc`);
      await client.untilClosed();
      await assert.rejects((await gateway.core.request(0)).whole);
    });

    /** A change that a core has, which answers no check either. */
    async function frozen(
      setup: GatewaySetup,
    ): Promise<{ sent: Promise<Received>; attempt: string }> {
      await start({ cores: 2, ...setup });
      const path = session();
      await gateway.send('PATCH', path, { body: 'a' });
      const core = gateway.cores.find(({ requests }) => requests.length === 1);
      core?.next(freeze);
      const sent = gateway.send('PATCH', path, { body: 'b' });
      const request = await core?.request(1);
      await core?.stop();
      return { sent, attempt: String(request?.headers['x-portcullis-attempt']) };
    }

    test('a frozen core of this machine is given up, and the client told', async () => {
      const { sent } = await frozen({ by: 'unix' });
      assert.equal((await sent).status, 503);
    });

    test('a frozen core elsewhere is given up before the client is told', async () => {
      const given = Promise.withResolvers<UnansweredRequest>();
      const written = Promise.withResolvers<boolean>();
      const { sent, attempt } = await frozen({
        by: 'tcp',
        giveUp: (request) => {
          given.resolve(request);
          return written.promise;
        },
      });
      const request = await given.promise;
      assert.equal(request.attempt, attempt);
      assert.equal(request.match.route.id, 'appendUpload');
      let told = false;
      void sent.then(() => {
        told = true;
      });
      await new Promise((resolve) => setTimeout(resolve, 100));
      assert.equal(told, false, 'not before it is written down');
      written.resolve(true);
      assert.equal((await sent).status, 503);
    });

    test('where nobody can say that it is not done, the client is told nothing', async () => {
      const { sent } = await frozen({ by: 'tcp' });
      await assert.rejects(sent, /hang up|ECONNRESET/);
    });
  });

  test('headers of a connection and internal ones cross neither way', async () => {
    await start();
    gateway.core.next(
      answer(200, '', {
        'X-Portcullis-Secret': 'x',
        'Keep-Alive': 'timeout=1',
        Connection: 'X-Listed',
        'X-Listed': 'y',
        'Docker-Content-Digest': 'z',
      }),
    );
    const { headers } = await gateway.send('GET', '/v2/', {
      headers: { Connection: 'X-Mine, keep-alive', 'X-Mine': '1', TE: 'trailers' },
    });
    assert.equal(headers['x-portcullis-secret'], undefined);
    assert.equal(headers['x-listed'], undefined);
    assert.equal(headers['docker-content-digest'], 'z');
    const [request] = gateway.core.requests;
    assert.equal(request?.headers['x-mine'], undefined);
    assert.equal(request?.headers.te, undefined);
  });

  test('a request to another machine is signed', async () => {
    await start({ by: 'tcp' });
    await gateway.send('GET', '/v2/');
    assert.match(String(gateway.core.requests[0]?.headers['x-portcullis-hop']), /^\d+\.[\w-]+$/);
  });
});
