import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, request } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { after, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { readIntoOneBuffer } from './read-into-one-buffer.ts';

const MiB = 1024 * 1024;

describe('connections that are read into one buffer', () => {
  const agent = readIntoOneBuffer(new Agent({ keepAlive: true }));
  after(() => agent.destroy());

  async function get(port: number, path = '/'): Promise<IncomingMessage> {
    const outgoing = request({ host: '127.0.0.1', port, path, agent }).end();
    const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
    return incoming;
  }

  test('give each answer its own bytes, fast and slow, as many as there are at once', async (t) => {
    const bodies = Array.from({ length: 8 }, () => randomBytes(3 * MiB + 17));
    const server = createServer((asked, answer) =>
      answer.end(bodies[Number(asked.url?.slice(1))]),
    ).listen(0, '127.0.0.1');
    t.after(() => server.close());
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const memory = new Set<ArrayBufferLike>();
    for (let round = 0; round < 3; round += 1) {
      const answers = bodies.map(async (body, index) => {
        const incoming = await get(port, `/${index}`);
        // Held back, so that the others go on beside it.
        if (index % 2 === 0) await sleep(20);
        incoming.socket.on('data', (chunk: Buffer) => memory.add(chunk.buffer));
        assert.ok((await buffer(incoming)).equals(body));
      });
      await Promise.all(answers);
    }
    assert.equal(memory.size, 1);
    assert.equal(Object.values(agent.freeSockets).flat().length, 8);
  });

  test('do not read on for an answer that nobody takes', async (t) => {
    let sent = 0;
    const server = createTcpServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n');
        const more = () => {
          for (let goesOn = true; goesOn && sent < 256 * MiB; sent += MiB) {
            goesOn = socket.write(Buffer.alloc(MiB));
          }
        };
        socket.on('drain', more);
        more();
      });
    }).listen(0, '127.0.0.1');
    t.after(() => server.close());
    await once(server, 'listening');
    const incoming = await get((server.address() as AddressInfo).port);
    await sleep(300);
    assert.ok(sent < 64 * MiB, `${sent / MiB} MiB`);
    incoming.destroy();
  });

  test('give no answer that came before it was asked for', async (t) => {
    const server = createTcpServer((socket) => {
      socket.on('error', () => {});
      let count = 0;
      const answer = (text: string) =>
        socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n${text}`);
      socket.on('data', () => {
        count += 1;
        answer(String(count));
        setTimeout(() => answer('x'), 20);
      });
    }).listen(0, '127.0.0.1');
    t.after(() => server.close());
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    assert.equal(String(await buffer(await get(port))), '1');
    await sleep(100);
    assert.notEqual(String(await buffer(await get(port))), 'x');
  });
});
