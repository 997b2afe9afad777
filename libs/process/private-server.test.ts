import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, request, ServerResponse } from 'node:http';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { createRecordingLog } from '../../test/support/recording-log.ts';
import {
  createTemporaryFolder,
  type TemporaryFolder,
} from '../../test/support/temporary-folder.ts';
import { createApp } from '../http/app.ts';
import { readBody } from '../http/body.ts';
import { whileClientWaits } from '../http/client-gone.ts';
import { delegation } from '../http/held-body.ts';
import { createReadiness } from '../http/readiness.ts';
import { type PrivateServer, servePrivately } from './private-server.ts';

describe('a private server that is told to stop', () => {
  let folder: TemporaryFolder;
  let server: PrivateServer;
  let socketPath: string;
  const arrived = () => Promise.withResolvers<void>();
  let waiting = arrived();
  let changing = arrived();

  beforeEach(async () => {
    folder = await createTemporaryFolder();
    socketPath = join(folder.path, 'sockets', 'core.sock');
    waiting = arrived();
    changing = arrived();
    const app = createApp({
      log: createRecordingLog().log,
      checkPeer: () => true,
      readiness: createReadiness(),
    });
    app.use(async (ctx) => {
      if (ctx.path === '/streams') {
        ctx.res.write('begun');
        ctx.respond = false;
        waiting.resolve();
        return;
      }
      if (ctx.path === '/reads') {
        waiting.resolve();
        await readBody(ctx.req, 1000, { signal: whileClientWaits(ctx.res) });
        return;
      }
      if (ctx.path === '/changes') {
        waiting.resolve();
        await changing.promise;
        ctx.status = 201;
        return;
      }
      const signal = whileClientWaits(ctx.res);
      waiting.resolve();
      await new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason as Error));
      });
    });
    server = await servePrivately(app.callback(), {
      listen: { socket: socketPath },
      headersTimeout: 10_000,
    });
    assert.equal(dirname(server.address), join(folder.path, 'sockets'));
  });

  afterEach(() => folder.remove());

  /** Sends a request. @returns status and Retry-After, or why there is no whole answer */
  function ask(path: string, method = 'GET'): Promise<string> {
    return new Promise((resolve) => {
      const asking = request({ socketPath, path, method }, (response) => {
        const { statusCode, headers } = response;
        response.resume();
        response.once('end', () => resolve(`${statusCode} ${headers['retry-after']}`));
        response.once('error', () => resolve('cut'));
      });
      asking.once('error', () => resolve('cut'));
      asking.end();
    });
  }

  test('answers 503 to one that waits for its turn until the time is over', async () => {
    const answer = ask('/waits');
    await waiting.promise;
    await server.stop(200);
    assert.equal(await answer, '503 1');
  });

  test('waits for no body, however slowly it comes', async () => {
    const asking = request({ socketPath, path: '/reads', method: 'POST' });
    asking.setHeader('Content-Length', 1000);
    const answer = new Promise((resolve) => {
      asking.once('response', ({ statusCode }) => resolve(statusCode));
      asking.once('error', () => resolve('cut'));
    });
    asking.write('a few bytes');
    await waiting.promise;
    await server.stop(200);
    assert.equal(await answer, 503);
    asking.destroy();
  });

  test('waits for one that is changing something, and tells what became of it', async () => {
    const answer = ask('/changes', 'POST');
    await waiting.promise;
    waiting = arrived();
    const other = ask('/streams');
    await waiting.promise;
    const stopped = server.stop(200);
    assert.equal(await other, 'cut');
    setTimeout(() => changing.resolve(), 100);
    await stopped;
    assert.equal(await answer, '201 undefined');
  });

  test('does not wait for what only reads, as from a storage that hangs', async () => {
    const answer = ask('/changes');
    await waiting.promise;
    await server.stop(100);
    assert.equal(await answer, 'cut');
    changing.resolve();
  });

  test('says meanwhile that it stops, and takes nothing new', async () => {
    const answer = ask('/changes', 'POST');
    await waiting.promise;
    const stopped = server.stop(100);
    for (const delay of [0, 200]) {
      await new Promise((resolve) => setTimeout(resolve, delay));
      assert.equal(await ask('/healthz'), '200 undefined');
      waiting = arrived();
      let taken = false;
      void waiting.promise.then(() => {
        taken = true;
      });
      const refused = await new Promise<IncomingMessage>((resolve, reject) => {
        request({ socketPath, path: '/changes', method: 'POST' }, resolve)
          .once('error', reject)
          .end('a body');
      });
      assert.deepEqual([refused.statusCode, taken], [503, false]);
      assert.equal(refused.headers['x-portcullis-refused'], 'stopping');
      refused.resume();
    }
    changing.resolve();
    await stopped;
    assert.equal(await answer, '201 undefined');
    assert.equal(await ask('/healthz'), 'cut');
  });

  test('cuts an answer that is on its way then', async () => {
    const answer = ask('/streams');
    await waiting.promise;
    await server.stop(200);
    assert.equal(await answer, 'cut');
  });
});

test('a server of a Node that cannot give orders says so to whoever holds a body', async (t) => {
  const folder = await createTemporaryFolder();
  t.after(() => folder.remove());
  const socketPath = join(folder.path, 'sockets', 'core.sock');
  const server = await servePrivately(async (_, response) => void response.writeHead(200).end(), {
    listen: { socket: socketPath },
    headersTimeout: 10_000,
  });
  t.after(() => server.stop(100));
  const statusOf = async (expect: string) => {
    const asked = request({ socketPath, method: 'PATCH', agent: false });
    asked.setHeader('Expect', expect);
    const answered = once(asked, 'response');
    asked.end();
    const [answer] = (await answered) as [IncomingMessage];
    answer.resume();
    return answer.statusCode;
  };
  assert.deepEqual([await statusOf(delegation), await statusOf('anything')], [200, 417]);
  const prototype = ServerResponse.prototype as { writeInformation?: unknown };
  const { writeInformation } = prototype;
  delete prototype.writeInformation;
  t.after(() => {
    prototype.writeInformation = writeInformation;
  });
  assert.equal(await statusOf(delegation), 417);
});
