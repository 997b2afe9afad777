import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import Koa from 'koa';
import { rawClient } from '../../test/support/raw-client.ts';
import { createReadiness, probes } from './readiness.ts';

test('probes tell that a process lives, and whether it wants requests', async () => {
  const readiness = createReadiness();
  let trouble: string | undefined;
  readiness.require(() => trouble);
  const limits: string[] = [];
  readiness.mention(() => limits[0]);
  const app = new Koa();
  app.use(probes(readiness));
  app.use(async (ctx) => {
    if (ctx.url === 'http://[') ctx.body = 'passed on';
  });
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const ask = async (path: string, method = 'GET') => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { method });
    return `${response.status} ${await response.text()}`;
  };
  try {
    assert.equal(await ask('/healthz'), '200 {"status":"ok"}');
    assert.equal(await ask('/readyz'), '200 {"status":"ok"}');
    assert.equal(await ask('/readyz', 'HEAD'), '200 ');
    trouble = 'the storage does not answer';
    assert.equal(await ask('/readyz'), '503 {"status":"the storage does not answer"}');
    assert.equal(await ask('/healthz'), '200 {"status":"ok"}');
    trouble = undefined;
    limits.push('writes are refused: the storage is full');
    assert.equal(
      await ask('/readyz'),
      '200 {"status":"ok","conditions":["writes are refused: the storage is full"]}',
    );
    assert.equal(await ask('/healthz'), '200 {"status":"ok"}');
    limits.pop();
    readiness.startDraining();
    assert.equal(await ask('/readyz'), '503 {"status":"stopping"}');
    assert.match(await ask('/readyz', 'POST'), /^404/);
    assert.match(await ask('/other'), /^404/);
    const client = await rawClient(port);
    client.send('GET http://[ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    assert.match(await client.untilClosed(), /200 OK.*passed on$/s);
  } finally {
    server.close();
    server.closeAllConnections();
  }
});
