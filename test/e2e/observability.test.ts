import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { startConfigured } from '../support/configured-stack.ts';
import type { Exposition } from '../support/exposition.ts';
import { freePort } from '../support/free-port.ts';
import { makeImage, makeLayer } from '../support/images.ts';
import { ask, basic, push, scrapeFrom, startObserved } from '../support/observed-stack.ts';
import { run } from '../support/run.ts';
import { spawn } from '../support/spawn.ts';
import { launcher, type Stack, servicePids } from '../support/stack.ts';
import { waitFor } from '../support/wait-for.ts';

async function healthOf(
  debug: string,
): Promise<{ status: number; failing: Record<string, string> }> {
  const { status, text } = await ask(`${debug}/debug/health`);
  return { status, failing: JSON.parse(text) as Record<string, string> };
}

describe('one machine with http.debug', () => {
  let stack: Stack;
  let debug: string;
  let down: string;

  before(async () => {
    ({ stack, debug } = await startObserved((dir) => {
      down = join(dir, 'down');
      return { health: { file: [{ file: down, interval: '50ms' }] } };
    }));
  });

  after(() => stack.remove());

  test('one scrape shows every process, and counts what was pushed and pulled', async () => {
    const before = await scrapeFrom(debug);
    const image = makeImage('oci', [300_000]);
    for (const { bytes, descriptor } of image.blobs) {
      await push(stack, 'alice/app', bytes, descriptor.digest);
    }
    const manifest = `${stack.url}/v2/alice/app/manifests/v1`;
    const type = { 'Content-Type': image.descriptor.mediaType };
    const put = await fetch(manifest, {
      method: 'PUT',
      headers: { ...basic, ...type },
      body: new Uint8Array(image.bytes),
    });
    assert.equal(put.status, 201, await put.text());
    assert.equal((await fetch(manifest, { method: 'HEAD', headers: basic })).status, 200);
    const layer = image.blobs[1]?.descriptor;
    const blob = await fetch(`${stack.url}/v2/alice/app/blobs/${layer?.digest}`, {
      headers: basic,
    });
    assert.equal((await blob.arrayBuffer()).byteLength, 300_000);
    assert.equal((await fetch(`${stack.url}/elsewhere`)).status, 404);
    const unknown = `${stack.url}/v2/alice/app/manifests/unknown`;
    const absent = await fetch(unknown, { method: 'HEAD', headers: basic });
    assert.equal(absent.status, 404);
    const together = 20;
    const tokens = Array.from({ length: together }, () =>
      fetch(`${stack.url}/v2/_token?service=portcullis`, { headers: basic }),
    );
    for (const answer of await Promise.all(tokens)) assert.equal(answer.status, 200);
    const wrong = { Authorization: `Basic ${btoa('alice:wrong')}` };
    assert.equal((await fetch(`${stack.url}/v2/`, { headers: wrong })).status, 401);

    // A request is counted when its connection knows that the answer is out, a moment after the client.
    const now = await waitFor('the last request to be counted', async () => {
      const scraped = await scrapeFrom(debug);
      const gone = scraped.sum('portcullis_http_requests_total', { route: 'base', status: '401' });
      return gone === 1 && scraped;
    });
    const grown = (name: string, labels: Record<string, string> = {}) =>
      now.sum(name, labels) - before.sum(name, labels);
    const requests = 'portcullis_http_requests_total';
    for (const process of ['gateway', 'core']) {
      assert.equal(now.value('portcullis_process_up', { process }), 1);
      const of = (labels: Record<string, string>) => grown(requests, { process, ...labels });
      assert.equal(of({ route: 'startUpload', method: 'POST', status: '201' }), 2, process);
      assert.equal(of({ route: 'putManifest', method: 'PUT', status: '201' }), 1, process);
      assert.equal(of({ route: 'getManifest', method: 'HEAD', status: '200' }), 1, process);
      assert.equal(of({ route: 'getBlob', method: 'GET', status: '200' }), 1, process);
      const seconds = 'portcullis_http_request_duration_seconds';
      assert.equal(grown(`${seconds}_count`, { process, route: 'startUpload' }), 2);
      assert.ok(grown(`${seconds}_sum`, { process, route: 'startUpload' }) > 0);
      const bytes = (way: string, route: string) =>
        grown(`portcullis_http_${way}_bytes_total`, { process, route });
      // The gateway writes the layer into the tree, and the core has its report, beside the small config.
      const received = bytes('received', 'startUpload') ?? 0;
      if (process === 'gateway') assert.equal(received, 300_030);
      else assert.ok(received > 30 && received < 1000, `${received}`);
      assert.equal(bytes('received', 'putManifest'), image.bytes.length);
      // The gateway reads the blob from the tree that it shares with the core.
      assert.equal(bytes('sent', 'getBlob'), process === 'gateway' ? 300_000 : 0, process);
      assert.equal(bytes('sent', 'getManifest'), 0, 'a HEAD has no body');
    }
    assert.equal(grown(requests, { process: 'gateway', route: 'other', status: '404' }), 1);
    assert.equal(now.value('portcullis_http_requests_in_flight', { process: 'gateway' }), 0);
    assert.equal(now.value('portcullis_process_up', { process: 'auth' }), 1);
    // Those that were asked for together are counted one by one.
    assert.ok(
      grown('portcullis_token_request_duration_seconds_count', { outcome: 'issued' }) >=
        5 + together,
    );
    assert.equal(
      grown('portcullis_token_request_duration_seconds_count', { outcome: 'refused' }),
      1,
    );
    assert.equal(grown('portcullis_logins_refused_total'), 1);
    const operation = 'portcullis_storage_operation_duration_seconds_count';
    for (const one of ['put', 'move', 'write', 'sync']) {
      assert.ok(grown(operation, { operation: one }) > 0, one);
    }
    assert.ok(grown('portcullis_storage_errors_total', { code: 'not-found' }) > 0);
    assert.equal(grown('portcullis_upload_lock_wait_seconds_count', { outcome: 'granted' }), 2);
    assert.equal(now.value('portcullis_uploads_open'), 0);
    const [size, free] = ['size', 'free'].map((what) =>
      now.sum(`portcullis_storage_${what}_bytes`),
    );
    assert.ok(size !== undefined && free !== undefined && free > 0 && size > free);
    for (const process of ['gateway', 'auth', 'core']) {
      assert.equal(now.sum('portcullis_build_info', { process }), 1);
      assert.ok(now.sum('process_resident_memory_bytes', { process }) > 1e7);
    }
  });

  test('no label tells a repository, a digest or a user, whatever is asked for', async () => {
    const scraped = await scrapeFrom(debug);
    const text = JSON.stringify(scraped.samples);
    assert.doesNotMatch(text, /alice|sha256|elsewhere/);
    const series = scraped.samples.length;
    for (let index = 0; index < 20; index += 1) {
      await fetch(`${stack.url}/v2/alice/app${index}/tags/list`, { headers: basic });
      await fetch(`${stack.url}/v2/alice/app/manifests/v${index}`, { headers: basic });
      await fetch(`${stack.url}/path${index}`, { method: 'OPTIONS' });
    }
    const after = await scrapeFrom(debug);
    assert.ok(after.samples.length < series + 200, `${after.samples.length} after ${series}`);
    for (const { labels } of after.samples)
      assert.match(labels.process ?? '', /^(gateway|auth|core)$/);
  });

  test('an upload on its way shows in flight, as open, and with its bytes so far', async () => {
    const start = await fetch(`${stack.url}/v2/alice/app/blobs/uploads/`, {
      method: 'POST',
      headers: basic,
    });
    const location = start.headers.get('location') ?? '';
    const before = await scrapeFrom(debug);
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const { bytes } = makeLayer(200_000);
    const body = new ReadableStream<Uint8Array>({
      async start(controller) {
        controller.enqueue(new Uint8Array(bytes));
        await ended;
        controller.close();
      },
    });
    const patch = fetch(stack.url + location, {
      method: 'PATCH',
      headers: basic,
      body,
      duplex: 'half',
    } as RequestInit);
    const labels = { process: 'gateway', route: 'appendUpload' };
    const seen = await waitFor('its bytes', async () => {
      const scraped = await scrapeFrom(debug);
      const grown = scraped.sum('portcullis_http_received_bytes_total', labels);
      return (
        grown - before.sum('portcullis_http_received_bytes_total', labels) === 200_000 && scraped
      );
    });
    assert.equal(seen.value('portcullis_http_requests_in_flight', { process: 'gateway' }), 1);
    assert.equal(seen.value('portcullis_uploads_open'), 1);
    end();
    assert.equal((await patch).status, 202);
    const cancel = await fetch(stack.url + location, { method: 'DELETE', headers: basic });
    assert.equal(cancel.status, 204);
    assert.equal((await scrapeFrom(debug)).value('portcullis_uploads_open'), 0);
  });

  test('a file that appears makes everything 503, and all is well when it is gone', async () => {
    assert.deepEqual(await healthOf(debug), { status: 200, failing: {} });
    assert.equal((await ask(`${debug}/debug/health`)).type, 'application/json; charset=utf-8');
    await writeFile(down, '');
    await waitFor('the check to fail', async () => (await healthOf(debug)).status === 503);
    assert.deepEqual((await healthOf(debug)).failing, { [down]: 'file exists' });
    const refused = await fetch(`${stack.url}/v2/alice/app/manifests/v1`, { headers: basic });
    assert.equal(refused.status, 503);
    assert.equal(refused.headers.get('retry-after'), '10');
    const text = await refused.text();
    assert.match(text, /UNAVAILABLE.*health check/);
    assert.ok(!text.includes(down), 'clients learn no path of the server');
    await rm(down);
    await waitFor('the check to be good', async () => (await healthOf(debug)).status === 200);
    const served = await fetch(`${stack.url}/v2/alice/app/manifests/v1`, { headers: basic });
    assert.equal(served.status, 200);
    const lines = stack.output().split('\n');
    const said = lines
      .filter((line) => line.includes(`check=${down}`))
      .map((line) => /msg="([^"]*)"/.exec(line)?.[1]);
    // A machine under load may have it look late and fail twice; each change is said once all the same.
    const turns = ['health check failed', 'health check is good again'];
    assert.deepEqual(
      said,
      said.map((_, index) => turns[index % 2]),
    );
    assert.ok(said.length >= 2 && said.length % 2 === 0);
  });

  test('a core that died shows in the scrape and in the health', async () => {
    const [pid] = await servicePids(stack.child.pid ?? 0, 'core');
    assert.ok(pid !== undefined);
    process.kill(pid, 'SIGKILL');
    const [health, scraped] = await waitFor('its end to be seen', async () => {
      const both = await Promise.all([healthOf(debug), scrapeFrom(debug)]);
      const isSeen = both[0].status === 503;
      return isSeen && both[1].sum('portcullis_process_up', { process: 'core' }) === 0 && both;
    });
    assert.deepEqual(health.failing, { core: 'core does not answer' });
    assert.equal(scraped.value('portcullis_process_up', { process: 'auth' }), 1);
    await waitFor('the core to be back', async () => (await healthOf(debug)).status === 200);
    const again = await scrapeFrom(debug);
    assert.equal(again.value('portcullis_process_up', { process: 'core' }), 1);
  });

  test('the probes are the gateway’s own, and what is not there is 404', async () => {
    assert.equal((await ask(`${debug}/healthz`)).status, 200);
    assert.deepEqual((await ask(`${debug}/readyz`)).text, '{"status":"ok"}');
    for (const path of ['/', '/v2/', '/debug/pprof/', '/internal/metrics']) {
      assert.equal((await ask(debug + path)).status, 404, path);
    }
    for (const path of ['/metrics', '/debug/health', '/internal/metrics', '/internal/health']) {
      assert.equal((await ask(stack.url + path)).status, 404, path);
    }
  });
});

describe('debug addresses', () => {
  test('a process with an address of its own is asked there', async () => {
    const corePort = await freePort();
    const { stack, debug } = await startObserved(() => ({
      portcullis: { core: { debug: `127.0.0.1:${corePort}` } },
    }));
    try {
      const core = await scrapeFrom(`http://127.0.0.1:${corePort}`);
      const others = await scrapeFrom(debug);
      const processesIn = ({ samples }: Exposition) =>
        [...new Set(samples.map(({ labels }) => labels.process))].sort();
      assert.deepEqual(processesIn(core), ['core']);
      assert.deepEqual(processesIn(others), ['auth', 'gateway']);
      // The gateway was waited for; the core may hear of the keys a moment later.
      await waitFor('the core to be ready', async () => {
        return (await ask(`http://127.0.0.1:${corePort}/readyz`)).status === 200;
      });
    } finally {
      await stack.remove();
    }
  });

  test('a core that runs alone takes the one for all, and answers there until its end', async () => {
    const { stack, debug } = await startObserved(() => ({ portcullis: { draindelay: '1s' } }));
    let core: ChildProcess | undefined;
    try {
      await stack.stop();
      core = spawn(launcher, ['core', join(stack.dir, 'config.yml')], { stdio: 'ignore' });
      const ended = once(core, 'exit');
      // Without a token service it cannot judge anybody, and says so.
      const reason = async () => (await ask(`${debug}/readyz`)).text;
      const alone =
        '{"status":"no token service has answered yet; it must run, and have the same http.secret"}';
      await waitFor('the core to be up', async () => (await reason().catch(() => '')) === alone);
      const { samples } = await scrapeFrom(debug);
      assert.deepEqual([...new Set(samples.map(({ labels }) => labels.process))], ['core']);
      assert.deepEqual(await healthOf(debug), { status: 200, failing: {} });
      core.kill('SIGTERM');
      const { text } = await waitFor('it to be no longer ready', async () => {
        const answer = await ask(`${debug}/readyz`);
        return answer.text !== alone && answer;
      });
      assert.equal(text, '{"status":"stopping"}');
      assert.equal((await ask(`${debug}/healthz`)).status, 200);
      assert.deepEqual(await ended, [0, null]);
    } finally {
      core?.kill('SIGKILL');
      await stack.remove();
    }
  });

  test('without prometheus.enabled there is health, and nothing is measured', async () => {
    const port = await freePort();
    const stack = await startConfigured({ http: { debug: { addr: `127.0.0.1:${port}` } } });
    try {
      assert.equal((await ask(`http://127.0.0.1:${port}/debug/health`)).text, '{}');
      assert.equal((await ask(`http://127.0.0.1:${port}/metrics`)).status, 404);
    } finally {
      await stack.remove();
    }
  });

  test('one that is taken stops the start with one sentence that names the setting', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    const { stack } = await startObserved();
    try {
      await stack.stop();
      for (const [service, setting, env] of [
        ['serve', 'http.debug.addr', 'REGISTRY_HTTP_DEBUG_ADDR'],
        ['serve', 'portcullis.core.debug', 'REGISTRY_PORTCULLIS_CORE_DEBUG'],
        // Alone, a process takes http.debug.addr when it has none of its own.
        ['core', 'portcullis.core.debug', 'REGISTRY_HTTP_DEBUG_ADDR'],
      ] as const) {
        const { code, stderr } = await run(launcher, [service, join(stack.dir, 'config.yml')], {
          env: { [env]: `127.0.0.1:${port}` },
          timeout: 60_000,
        });
        assert.equal(code, 1);
        assert.match(
          stderr,
          new RegExp(
            `^portcullis(?: \\w+)?: 127\\.0\\.0\\.1:${port} is already in use .* set ${setting} `,
          ),
        );
        assert.equal(stderr.trim().split('\n').length, 1, stderr);
      }
    } finally {
      taken.close();
      await stack.remove();
    }
  });
});
