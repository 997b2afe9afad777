import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { startConfigured } from '../support/configured-stack.ts';
import { freePort } from '../support/free-port.ts';
import { binaryHeader, ipv4Block, ipv6Block, proxyLine } from '../support/proxy-header.ts';
import { rawClient } from '../support/raw-client.ts';
import { mustRun, run } from '../support/run.ts';
import { segmentedSocket } from '../support/segmented-socket.ts';
import { spawn } from '../support/spawn.ts';
import type { Stack } from '../support/stack.ts';
import { waitFor } from '../support/wait-for.ts';

/** Stacks as balancers stand before them; 127.0.0.1 is the balancer, and believed nothing else. */
const kinds = {
  'plain HTTP': { tls: false, http2: false },
  TLS: { tls: true, http2: false },
  'TLS with HTTP/2': { tls: true, http2: true },
} as const;

/** What HAProxy says to the registry, by the port it listens on. */
const ways = ['send-proxy', 'send-proxy-v2', 'send-proxy-v2 proxy-v2-options crc32c,unique-id'];

/** The line of the access log of a request that was sent with this user agent. */
async function accessLine(stack: Stack, userAgent: string): Promise<string> {
  return await waitFor('the access line', () =>
    stack
      .output()
      .split('\n')
      .find((line) => line.includes('process=gateway') && line.includes(userAgent)),
  );
}

for (const [kind, { tls, http2 }] of Object.entries(kinds)) {
  describe(`the PROXY protocol before ${kind}`, () => {
    let stack: Stack;

    before(async () => {
      stack = await startConfigured({
        tls,
        users: { admin: 'secret' },
        http: http2 ? { http2: { disabled: false } } : {},
        sections: () => ({
          log: { level: 'debug' },
          portcullis: { gateway: { proxyprotocol: ['127.0.0.0/24'], headerstimeout: '1s' } },
        }),
      });
    });

    after(async () => {
      await stack?.remove();
    });

    const curl = async (port: number, path: string, ...args: string[]) => {
      const userAgent = randomUUID();
      const url = `${tls ? 'https' : 'http'}://localhost:${port}`;
      const common = ['-sS', '-A', userAgent, ...(tls ? ['--cacert', stack.ca] : [])];
      const answer = await mustRun('curl', [...common, ...args, url + path]);
      return { answer, line: await accessLine(stack, userAgent) };
    };

    describe('behind haproxy', () => {
      let haproxy: Haproxy;

      before(async () => {
        haproxy = await startHaproxy(stack);
      });

      after(async () => {
        await haproxy?.stop();
      });

      ways.forEach((way, index) => {
        const port = () => haproxy.ports[index] ?? 0;

        test(`with ${way} the log names the client`, async () => {
          // A client of its own on this machine; 127.0.0.1 would not show who was taken for whom.
          const client = ['--interface', '127.0.1.5', '--ipv4', '--user', 'admin:secret'];
          const claim = ['-H', 'X-Forwarded-For: 198.51.100.1'];
          const { answer, line } = await curl(
            ...([port(), '/v2/', ...client, ...claim, '-w', ' %{http_version}'] as const),
          );
          assert.equal(answer, `{} ${http2 ? '2' : '1.1'}`);
          assert.match(line, / client=127\.0\.1\.5 /);
        });

        test(`with ${way} a blob goes up and down whole`, async () => {
          const file = join(stack.dir, `blob-${index}`);
          await writeFile(file, randomBytes(30_000_000));
          const digest = `sha256:${(await mustRun('sha256sum', [file])).slice(0, 64)}`;
          const login = ['--user', 'admin:secret'];
          const post = ['-D-', '-X', 'POST'];
          const started = await curl(port(), '/v2/a/blobs/uploads/', ...login, ...post);
          const place = /^location: (\S+)/im.exec(started.answer)?.[1] ?? '';
          const put = ['-X', 'PUT', '-T', file, '-w', '%{http_code}'];
          const done = await curl(port(), `${place}?digest=${digest}`, ...login, ...put);
          assert.equal(done.answer, '201');
          await curl(port(), `/v2/a/blobs/${digest}`, ...login, '-o', `${file}.back`);
          assert.equal((await run('cmp', [file, `${file}.back`])).code, 0);
        });
      });
    });

    const secured = (socket: ReturnType<typeof segmentedSocket>) =>
      connectTls({ socket, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] });

    /** Asks behind a header of ours, cut into segments. */
    const askBehind = async (header: Buffer, cuts: readonly number[] = []) => {
      const userAgent = randomUUID();
      const socket = segmentedSocket(stack.port, header, cuts);
      const outgoing = request({
        path: '/v2/',
        headers: { Connection: 'close', 'User-Agent': userAgent },
        createConnection: () => (tls ? secured(socket) : socket) as unknown as Socket,
      });
      outgoing.end();
      const [incoming] = await once(outgoing, 'response');
      incoming.resume();
      assert.equal(incoming.statusCode, 401);
      return await accessLine(stack, userAgent);
    };

    const v6 = ipv6Block([0x2001, 0xdb8, 0, 0, 0, 0, 0, 7]);
    const headers: readonly [what: string, header: Buffer, client: string][] = [
      ['a line', proxyLine('203.0.113.7'), '203.0.113.7'],
      ['a line with IPv6', proxyLine('2001:db8::7'), '2001:db8::7'],
      ['a line of UNKNOWN', Buffer.from('PROXY UNKNOWN\r\n'), '127.0.0.1'],
      ['version 2', binaryHeader({ rest: ipv4Block([203, 0, 113, 8]) }), '203.0.113.8'],
      ['version 2 with IPv6', binaryHeader({ family: 0x21, rest: v6 }), '2001:db8::7'],
      ['LOCAL', binaryHeader({ command: 0x20, family: 0 }), '127.0.0.1'],
      ['a Unix socket', binaryHeader({ family: 0x31, rest: Buffer.alloc(216) }), '127.0.0.1'],
    ];
    for (const [what, header, client] of headers) {
      test(`behind ${what} the client is ${client}, whole or byte by byte`, async () => {
        const everywhere = Array.from({ length: header.length + 20 }, (_, index) => index);
        for (const cuts of [[], [header.length], everywhere]) {
          assert.ok((await askBehind(header, cuts)).includes(` client=${client} `));
        }
      });
    }

    const junk: readonly [what: string, bytes: Buffer | string][] = [
      ['no header', 'GET /junk HTTP/1.1\r\nHost: x\r\n\r\n'],
      ['100 kB of junk', Buffer.alloc(100_000, 'junk ')],
      ['100 kB behind the start of a line', `PROXY ${'junk '.repeat(20_000)}`],
      ['a header with a wrong family', binaryHeader({ family: 0x99 })],
      ['half a header', 'PROXY TCP4 203.0.113.7 '],
      ['half a header of version 2', binaryHeader({ length: 300, rest: ipv4Block([1, 2, 3, 4]) })],
      ['nothing', ''],
    ];
    for (const [what, bytes] of junk) {
      test(`${what} is closed without an answer, and the log says so`, async () => {
        const closed = () => stack.output().split('without a proper PROXY header').length;
        const before = closed();
        const client = await rawClient(stack.port);
        client.socket.write(bytes);
        assert.equal(await client.untilClosed(), '');
        await waitFor('the line', () => closed() === before + 1);
        assert.ok(!stack.output().includes('/junk'));
        assert.match(await askBehind(proxyLine('203.0.113.7')), / client=203\.0\.113\.7 /);
      });
    }

    test('a header that comes too slowly is closed, however steadily it comes', async () => {
      const client = await rawClient(stack.port);
      const header = binaryHeader({ length: 4000, rest: ipv4Block([203, 0, 113, 7]) });
      client.send(header.toString('latin1'));
      const drip = setInterval(() => client.send('x'), 50);
      assert.equal(await client.untilClosed(), '');
      clearInterval(drip);
    });

    test('others need no header, and theirs is none', async () => {
      const { line } = await curl(stack.port, '/v2/', '--interface', '127.0.1.5', '--ipv4');
      assert.match(line, / client=127\.0\.1\.5 /);
      const socket = connect({ port: stack.port, host: '127.0.0.1', localAddress: '127.0.1.5' });
      socket.end(`${proxyLine('203.0.113.9')}GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n`);
      const answer = Buffer.concat(await Array.fromAsync(socket as AsyncIterable<Buffer>));
      assert.doesNotMatch(answer.toString('latin1'), /^HTTP\/1\.1 (?!400)/);
      assert.ok(!stack.output().includes('client=203.0.113.9'));
    });

    test('it stops at once although a balancer holds a connection open', async () => {
      const said = await rawClient(stack.port);
      said.send('PROXY TCP4 203.0.113.7');
      assert.equal(await stack.stop(), 0);
      await said.untilClosed();
    });
  });
}

test('with true everybody’s connection begins with a header, and trusted proxies are its addresses', async () => {
  const stack = await startConfigured({
    sections: () => ({
      portcullis: { gateway: { proxyprotocol: true, trustedproxies: ['203.0.113.7'] } },
    }),
  });
  try {
    const ask = async (header: Buffer) => {
      const client = await rawClient(stack.port);
      const userAgent = randomUUID();
      client.socket.write(header);
      client.send(
        `GET /v2/ HTTP/1.1\r\nHost: x\r\nUser-Agent: ${userAgent}\r\nX-Forwarded-For: 198.51.100.1\r\nConnection: close\r\n\r\n`,
      );
      assert.match(await client.untilClosed(), /^HTTP\/1\.1 200 /);
      return await accessLine(stack, userAgent);
    };
    assert.match(await ask(proxyLine('203.0.113.7')), / client=198\.51\.100\.1 /);
    assert.match(await ask(proxyLine('203.0.113.8')), / client=203\.0\.113\.8 /);
  } finally {
    await stack.remove();
  }
});

interface Haproxy {
  /** One for each of the ways. */
  ports: readonly number[];
  stop(): Promise<void>;
}

/** HAProxy in TCP mode, with its health checks, which speak the protocol too. */
async function startHaproxy(stack: Stack): Promise<Haproxy> {
  const ports: number[] = [];
  for (const _ of ways) ports.push(await freePort());
  const sections = ways.map(
    (way, index) => `
listen way${index}
  bind 127.0.0.1:${ports[index]}
  server registry 127.0.0.1:${stack.port} ${way} check inter 200ms`,
  );
  const config = `
global
  maxconn 100
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  unique-id-format %[uuid()]
${sections.join('\n')}
`;
  const path = join(stack.dir, 'haproxy.cfg');
  await writeFile(path, config);
  const child: ChildProcess = spawn('/usr/sbin/haproxy', ['-db', '-f', path], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
  };
  try {
    for (const port of ports) {
      await waitFor('haproxy', async () => {
        const { code } = await run('curl', ['-sk', `http://127.0.0.1:${port}/`]);
        return code !== 7;
      });
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { ports, stop };
}
