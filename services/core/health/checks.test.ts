import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import { createServer as createHttpServer, type IncomingHttpHeaders } from 'node:http';
import { createServer as createTcpServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import type { HealthSettings } from '#libs/config/sections/health.ts';
import { freePort } from '../../../test/support/free-port.ts';
import {
  createTemporaryFolder,
  type TemporaryFolder,
} from '../../../test/support/temporary-folder.ts';
import { createMemoryDriver } from '../storage/memory.ts';
import { configuredChecks } from './checks.ts';

const watch = { interval: 10_000, threshold: 1 };

describe('health checks', () => {
  let folder: TemporaryFolder;
  let servers: Server[];

  beforeEach(async () => {
    folder = await createTemporaryFolder();
    servers = [];
  });

  afterEach(async () => {
    for (const server of servers) server.close();
    await folder.remove();
  });

  async function serve(server: Server): Promise<number> {
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return (server.address() as { port: number }).port;
  }

  function only(settings: Partial<HealthSettings>) {
    const none = { storage: undefined, files: [], http: [], tcp: [] };
    const [check, ...others] = configuredChecks({ ...none, ...settings }, createMemoryDriver());
    assert.ok(check !== undefined && others.length === 0);
    return check;
  }

  test('a file that exists is bad, one that does not is good', async () => {
    const file = join(folder.path, 'down');
    const { name, check } = only({ files: [{ ...watch, file }] });
    assert.equal(name, file);
    await check();
    await writeFile(file, '');
    await assert.rejects(check(), { message: 'file exists' });
    await rm(file);
    await check();
  });

  test('HTTP is asked by HEAD, with the headers, and must answer with the status', async () => {
    let status = 200;
    let seen: { method?: string | undefined; headers: IncomingHttpHeaders } = { headers: {} };
    const port = await serve(
      createHttpServer(({ method, url, headers }, response) => {
        seen = { method, headers };
        const moved = url === '/moved?key=secret1';
        response.writeHead(moved ? 302 : status, moved ? { Location: '/' } : {}).end();
      }),
    );
    const probe = (url: string, expected: number, timeout = 5000) =>
      only({
        http: [
          {
            ...watch,
            timeout,
            url: new URL(url),
            headers: { 'X-Probe': ['a', 'b'] },
            status: expected,
          },
        ],
      });
    const good = probe(`http://127.0.0.1:${port}/moved?key=secret1`, 200);
    assert.equal(good.name, `http://127.0.0.1:${port}/moved`);
    await good.check();
    assert.equal(seen.method, 'HEAD');
    assert.equal(seen.headers['x-probe'], 'a, b');
    assert.equal(seen.headers.connection, 'close');
    await assert.rejects(probe(`http://127.0.0.1:${port}/`, 204).check(), {
      message: 'downstream service returned unexpected status: 200',
    });
    status = 204;
    const secret = probe(`http://user:secret2@127.0.0.1:${port}/`, 204);
    assert.equal(secret.name, `http://127.0.0.1:${port}/`);
    await secret.check();
    assert.equal(seen.headers.authorization, `Basic ${btoa('user:secret2')}`);
    const away = probe(`http://user:secret3@127.0.0.1:${await freePort()}/?a=secret4`, 200);
    await assert.rejects(away.check(), { message: 'no answer: ECONNREFUSED' });
  });

  test('HTTP that does not answer in time is bad', async () => {
    const port = await serve(createTcpServer((socket) => void socket.on('error', () => {})));
    const url = new URL(`http://127.0.0.1:${port}/`);
    const { check } = only({ http: [{ ...watch, url, headers: {}, status: 200, timeout: 30 }] });
    await assert.rejects(check(), { message: 'no answer: TimeoutError' });
  });

  test('TCP that takes a connection is good', async () => {
    const port = await serve(createTcpServer((socket) => void socket.on('error', () => {})));
    const probe = (port: number) =>
      only({ tcp: [{ ...watch, host: '127.0.0.1', port, timeout: 5000 }] });
    assert.equal(probe(port).name, `127.0.0.1:${port}`);
    await probe(port).check();
    await assert.rejects(probe(await freePort()).check(), {
      message: 'no connection: ECONNREFUSED',
    });
  });

  test('all that are configured are there', () => {
    const checks = configuredChecks(
      {
        storage: watch,
        files: [{ ...watch, file: '/a' }],
        http: [{ ...watch, url: new URL('http://a'), headers: {}, status: 200, timeout: 1 }],
        tcp: [{ ...watch, host: '::1', port: 1, timeout: 1 }],
      },
      createMemoryDriver(),
    );
    assert.deepEqual(
      checks.map(({ name }) => name),
      ['storagedriver_inmemory', '/a', 'http://a/', '[::1]:1'],
    );
  });
});
