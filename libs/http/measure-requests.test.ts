import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, test } from 'node:test';
import Koa from 'koa';
import { createMetrics, type Metrics } from '#libs/metrics/metrics.ts';
import { parseExposition } from '../../test/support/exposition.ts';
import { type RawClient, rawClient } from '../../test/support/raw-client.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { measureRequests } from './measure-requests.ts';
import { listen, serverOptions } from './serve.ts';

describe('measuring requests', () => {
  let metrics: Metrics;
  let server: Server;
  let url: string;
  let client: RawClient;

  beforeEach(async () => {
    metrics = createMetrics({ process: 'test', version: 'test' });
    const app = new Koa();
    app.silent = true;
    app.use(
      measureRequests(metrics, ({ path }) => (path === '/unknown' ? undefined : path.slice(1))),
    );
    app.use(async (ctx) => {
      if (ctx.path === '/wait') await once(ctx.req, 'close');
      else if (ctx.path === '/stream') ctx.body = Readable.from(['ab', Buffer.from('cde')]);
      else if (ctx.path === '/echo') ctx.body = Buffer.concat(await ctx.req.toArray());
      else ctx.body = 'text';
    });
    const handle = app.callback();
    server = createServer(serverOptions, (request, response) => void handle(request, response));
    const port = await listen(server, { host: '127.0.0.1', port: 0 });
    url = `http://127.0.0.1:${port}`;
    client = await rawClient(port);
  });

  afterEach(() => {
    client.socket.destroy();
    server.closeAllConnections();
    server.close();
  });

  const scrape = async () => parseExposition(await metrics.expose());
  const counted = async (labels: Record<string, string>) =>
    await waitFor('a request to be counted', async () => {
      const scraped = await scrape();
      return scraped.sum('portcullis_http_requests_total', labels) > 0 && scraped;
    });

  test('distribution’s names are there where they are asked for, with its handlers', async () => {
    const own = createMetrics({ process: 'test', version: 'test' });
    const app = new Koa();
    const route = new Map([
      ['/v2/', 'base'],
      ['/v2/a/blobs/x', 'getBlob'],
    ]);
    app.use(measureRequests(own, ({ path }) => route.get(path), { asDistribution: true }));
    app.use((ctx) => {
      ctx.body = 'y'.repeat(3000);
    });
    const handle = app.callback();
    const edge = createServer(serverOptions, (request, response) => void handle(request, response));
    const port = await listen(edge, { host: '127.0.0.1', port: 0 });
    for (const path of ['/v2/', '/v2/a/blobs/x', '/elsewhere']) {
      await (await fetch(`http://127.0.0.1:${port}${path}`)).text();
    }
    const scraped = await waitFor('the last to be counted', async () => {
      const found = parseExposition(await own.expose());
      return found.sum('portcullis_http_requests_total', {}) === 3 && found;
    });
    const labels = { handler: 'blob', method: 'get', code: '200' };
    assert.equal(scraped.value('registry_http_requests_total', labels), 1);
    assert.equal(scraped.sum('registry_http_requests_total', {}), 2, 'only what has a handler');
    assert.equal(
      scraped.value('registry_http_request_duration_seconds_count', {
        handler: 'base',
        method: 'get',
      }),
      1,
    );
    assert.equal(scraped.value('registry_http_response_size_bytes_sum', { handler: 'blob' }), 3000);
    assert.equal(scraped.value('registry_http_in_flight_requests', { handler: 'blob' }), 0);
    assert.doesNotMatch(await metrics.expose(), /registry_http/);
    edge.closeAllConnections();
    edge.close();
  });

  test('bodies are counted both ways, however they are written', async () => {
    await (await fetch(`${url}/echo`, { method: 'POST', body: 'x'.repeat(100_000) })).text();
    await (await fetch(`${url}/stream`)).text();
    await (await fetch(`${url}/stream`, { method: 'HEAD' })).text();
    await counted({ route: 'stream', method: 'HEAD', status: '200' });
    const scraped = await counted({ route: 'echo', method: 'POST', status: '200' });
    const bytes = (way: string, route: string) =>
      scraped.value(`portcullis_http_${way}_bytes_total`, { route });
    assert.equal(bytes('received', 'echo'), 100_000);
    assert.equal(bytes('sent', 'echo'), 100_000);
    assert.equal(bytes('received', 'stream'), undefined);
    assert.equal(bytes('sent', 'stream'), 5);
  });

  test('what is no route is other, and what no client of ours says is no method', async () => {
    assert.equal((await fetch(`${url}/unknown`)).status, 200);
    await counted({ route: 'other', method: 'GET', status: '200' });
    client.send('PROPFIND /known HTTP/1.1\r\nHost: a\r\n\r\n');
    await client.until(/text$/);
    await counted({ route: 'known', method: 'other', status: '200' });
  });

  test('a client that leaves before its answer is 499, and in flight until then', async () => {
    client.send('PUT /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1234');
    const before = await waitFor('its bytes', async () => {
      const scraped = await scrape();
      return scraped.sum('portcullis_http_received_bytes_total', { route: 'wait' }) > 0 && scraped;
    });
    assert.equal(before.value('portcullis_http_requests_in_flight'), 1);
    client.socket.destroy();
    const scraped = await counted({ route: 'wait', method: 'PUT', status: '499' });
    assert.equal(scraped.value('portcullis_http_requests_in_flight'), 0);
    assert.equal(scraped.value('portcullis_http_received_bytes_total', { route: 'wait' }), 4);
    assert.equal(scraped.sum('portcullis_http_request_duration_seconds_count'), 1);
  });
});
