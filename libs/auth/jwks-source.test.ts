import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, test } from 'node:test';
import { createRecordingLog } from '../../test/support/recording-log.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { type JwksSource, openJwksSource } from './jwks-source.ts';

const set = JSON.stringify({ keys: [{ kty: 'EC', kid: 'a' }] });

describe('a key set at an address', () => {
  let server: Server;
  let source: JwksSource | undefined;

  afterEach(() => {
    source?.close();
    server.closeAllConnections();
    server.close();
  });

  async function open(answer: RequestListener): Promise<string[]> {
    server = createServer(answer).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const { log, messages } = createRecordingLog();
    source = await openJwksSource({ location: `http://127.0.0.1:${port}/keys`, log });
    return messages();
  }

  const known = () => source?.keys().map(({ kid }) => kid);

  test('that does not answer holds no start up, and is taken when it comes', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    let asked = 0;
    await open((_, response) => {
      asked += 1;
      void released.then(() => response.end(set));
    });
    assert.deepEqual(known(), []);
    release();
    await waitFor('the keys', () => known()?.includes('a'));
    assert.equal(asked, 1, 'the first question was still open');
  });

  test('that holds no key is told', async () => {
    const messages = await open((_, response) => void response.end('{"keys":[]}'));
    assert.deepEqual(messages, ['warn: the key set holds no key: no token of it is accepted']);
  });

  const refused: Record<string, RequestListener> = {
    'that is too long': (_, response) => {
      const part = 'x'.repeat(64 * 1024);
      const more = () => {
        while (!response.destroyed && response.write(part));
      };
      response.on('drain', more);
      more();
    },
    'behind a redirect': (request, response) => {
      if (request.url === '/keys') response.writeHead(302, { Location: '/elsewhere' }).end();
      else response.end(set);
    },
    'that is no key set': (_, response) => void response.end('{"keys":{}}'),
    'that is no JSON': (_, response) => void response.end('{"keys":['),
    'with an error': (_, response) => void response.writeHead(500).end(set),
    'that breaks off': (_, response) => {
      response.writeHead(200, { 'Content-Length': 1000 });
      response.write(set);
      setImmediate(() => response.destroy());
    },
    'whose headers have no end': ({ socket }) => {
      socket.write(`HTTP/1.1 200 OK\r\n${'X-Header: x\r\n'.repeat(20_000)}`);
    },
  };
  for (const [name, answer] of Object.entries(refused)) {
    test(`${name} is not taken, and said once`, async () => {
      const messages = await open(answer);
      assert.deepEqual(known(), []);
      assert.deepEqual(messages, [
        'warn: the key set cannot be fetched; no token of it is accepted',
      ]);
    });
  }
});
