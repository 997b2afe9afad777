import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startConfigured } from '../support/configured-stack.ts';
import { freePort } from '../support/free-port.ts';
import { http2Client } from '../support/http2-client.ts';
import { makeLayer } from '../support/images.ts';
import { basic, push, scrapeFrom, startObserved } from '../support/observed-stack.ts';
import { waitFor } from '../support/wait-for.ts';

test('the gateway counts the same, whether it reads blobs itself or the core sends them', async () => {
  const counted: Record<string, number[]> = {};
  for (const offload of ['on', 'off']) {
    const { stack, debug } = await startObserved(() => ({ portcullis: { gateway: { offload } } }));
    try {
      const { bytes, descriptor } = makeLayer(200_000);
      await push(stack, 'alice/app', bytes, descriptor.digest);
      const url = `${stack.url}/v2/alice/app/blobs/${descriptor.digest}`;
      const statuses: number[] = [];
      for (const [method, more] of [
        ['GET', {}],
        ['HEAD', {}],
        ['GET', { Range: 'bytes=10-19' }],
        ['GET', { Range: 'bytes=200000-' }],
        ['GET', { 'If-None-Match': `"${descriptor.digest}"` }],
      ] as const) {
        const answer = await fetch(url, { method, headers: { ...basic, ...more } });
        await answer.arrayBuffer();
        statuses.push(answer.status);
      }
      assert.deepEqual(statuses, [200, 200, 206, 416, 304]);
      const scraped = await waitFor('all five to be counted', async () => {
        const now = await scrapeFrom(debug);
        const labels = { process: 'gateway', route: 'getBlob' };
        return now.sum('portcullis_http_requests_total', labels) === 5 && now;
      });
      const of = (name: string, labels: Record<string, string>) =>
        scraped.sum(name, { process: 'gateway', route: 'getBlob', ...labels });
      counted[offload] = [
        ...[200, 206, 416, 304].map((status) =>
          of('portcullis_http_requests_total', { status: `${status}` }),
        ),
        of('portcullis_http_sent_bytes_total', {}),
        of('portcullis_http_request_duration_seconds_count', {}),
      ];
      const labels = { process: 'core', route: 'getBlob' };
      const fromCore = scraped.sum('portcullis_http_sent_bytes_total', labels);
      assert.equal(fromCore >= 200_010, offload === 'off', `${fromCore} bytes from the core`);
    } finally {
      await stack.remove();
    }
  }
  assert.deepEqual(counted.on, counted.off);
});

test('over HTTP/2 and TLS the same is counted, and no word a client invents is a series', async () => {
  const port = await freePort();
  const stack = await startConfigured({
    tls: true,
    http: {
      debug: { addr: `127.0.0.1:${port}`, prometheus: { enabled: true } },
      http2: { disabled: false },
    },
  });
  const client = await http2Client(stack);
  try {
    const { bytes, descriptor } = makeLayer(500_000);
    const push = `/v2/app/blobs/uploads/?digest=${descriptor.digest}`;
    assert.equal((await client.ask('POST', push, { body: bytes })).status, 201);
    const pulled = await client.ask('GET', `/v2/app/blobs/${descriptor.digest}`);
    assert.equal(pulled.body.length, 500_000);
    assert.equal((await client.ask('INVENTED', '/v2/app/tags/list')).status, 405);
    const gateway = { process: 'gateway' };
    const scraped = await waitFor('the last request to be counted', async () => {
      const now = await scrapeFrom(`http://127.0.0.1:${port}`);
      return (
        now.sum('portcullis_http_requests_total', { ...gateway, method: 'other' }) === 1 && now
      );
    });
    const bytesOf = (way: string, route: string) =>
      scraped.sum(`portcullis_http_${way}_bytes_total`, { ...gateway, route });
    assert.equal(bytesOf('received', 'startUpload'), 500_000);
    assert.equal(bytesOf('sent', 'getBlob'), 500_000);
    assert.equal(scraped.value('portcullis_http_requests_in_flight', gateway), 0);
  } finally {
    client.close();
    await stack.remove();
  }
});
