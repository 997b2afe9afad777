import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { digestOf } from '#libs/oci/digest.ts';
import { startConfigured } from '../support/configured-stack.ts';
import { http2Client } from '../support/http2-client.ts';
import { basic, scrapeFrom, startObserved } from '../support/observed-stack.ts';
import { flags, frameTypes, headerBlock, rawHttp2 } from '../support/raw-http2.ts';
import { type Stack, servicePids } from '../support/stack.ts';
import { waitFor } from '../support/wait-for.ts';

const MiB = 1024 * 1024;

describe('uploads that the gateway writes', () => {
  let stack: Stack;
  let debug: string;
  before(async () => {
    ({ stack, debug } = await startObserved());
  });
  after(() => stack.remove());

  const send = async (method: string, path: string, body?: Buffer | ReadableStream) => {
    const init = { method, headers: basic, duplex: 'half' } as RequestInit;
    if (body !== undefined) init.body = body instanceof Buffer ? new Uint8Array(body) : body;
    const answer = await fetch(new URL(path, stack.url), init);
    return { status: answer.status, headers: answer.headers, text: await answer.text() };
  };
  const begin = async (name: string) =>
    (await send('POST', `/v2/${name}/blobs/uploads/`)).headers.get('location') ?? '';
  const assertStored = async (name: string, bytes: Buffer, digest = digestOf(bytes)) => {
    const answer = await fetch(`${stack.url}/v2/${name}/blobs/${digest}`, { headers: basic });
    assert.ok(Buffer.from(await answer.arrayBuffer()).equals(bytes));
  };
  /** A body that goes on until it is let end. */
  const endless = (bytes: Buffer) => {
    let end = () => {};
    const stream = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(new Uint8Array(bytes));
        end = () => controller.close();
      },
    });
    return { stream, end: () => end() };
  };
  const sizeOf = async (path: string) => {
    const { headers } = await send('GET', path);
    return Number(headers.get('range')?.split('-')[1] ?? Number.NaN) + 1;
  };
  /** Sends the beginning of a body, and leaves. */
  const breakOff = async (path: string, bytes: Buffer) => {
    const upload = request(new URL(path, stack.url), {
      method: 'PATCH',
      headers: { ...basic, 'Content-Length': bytes.length + 1 },
    });
    upload.on('error', () => {});
    await new Promise<void>((resolve) => upload.write(bytes, () => resolve()));
    return upload;
  };

  test('cross no second process, whatever their size, framing and algorithm', async () => {
    const received = async () => {
      const scraped = await scrapeFrom(debug);
      const of = (route: string) =>
        scraped.sum('portcullis_http_received_bytes_total', { process: 'core', route });
      return of('startUpload') + of('appendUpload') + of('completeUpload');
    };
    const atFirst = await received();
    for (const size of [0, 1, 300_000, 3 * MiB + 7]) {
      const bytes = randomBytes(size);
      const digest = digestOf(bytes);
      // As docker: chunked, in one PATCH.
      const patched = await send('PATCH', await begin('alice/patched'), endlessOf(bytes));
      assert.equal(patched.status, 202, patched.text);
      const end = `${patched.headers.get('location')}&digest=${digest}`;
      assert.equal((await send('PUT', end)).status, 201);
      await assertStored('alice/patched', bytes);
      // In the PUT, and in the POST.
      const put = await send('PUT', `${await begin('alice/put')}&digest=${digest}`, bytes);
      assert.equal(put.status, 201, put.text);
      await assertStored('alice/put', bytes);
      const sha512 = digestOf(bytes, 'sha512');
      const post = await send('POST', `/v2/alice/post/blobs/uploads/?digest=${sha512}`, bytes);
      assert.equal(post.status, 201, post.text);
      await assertStored('alice/post', bytes, sha512);
    }
    assert.ok((await received()) - atFirst < 10_000, `${(await received()) - atFirst} bytes`);
  });

  function endlessOf(bytes: Buffer): ReadableStream {
    const { stream, end } = endless(bytes);
    end();
    return stream;
  }

  test('with a wrong digest are none', async () => {
    const bytes = randomBytes(MiB);
    const wrong = digestOf(Buffer.from('something else'));
    const location = await begin('alice/wrong');
    const put = await send('PUT', `${location}&digest=${wrong}`, bytes);
    assert.equal(put.status, 400);
    assert.match(put.text, /DIGEST_INVALID/);
    assert.equal((await send('GET', location)).status, 404);
  });

  test('of a client that leaves are kept as far as they came, and go on', async () => {
    const bytes = randomBytes(3 * MiB);
    const location = await begin('alice/left');
    const upload = await breakOff(location, bytes.subarray(0, 2 * MiB));
    await waitFor('some to be written', async () => (await sizeOf(location)) > 1);
    upload.destroy();
    const offset = await waitFor('it to be told', async () => {
      const size = await sizeOf(location);
      return size >= 2 * MiB && size;
    });
    assert.equal(offset, 2 * MiB);
    const rest = await send(
      'PATCH',
      location.replace('offset=0', `offset=${offset}`),
      bytes.subarray(offset),
    );
    assert.equal(rest.status, 202, rest.text);
    const end = `${rest.headers.get('location')}&digest=${digestOf(bytes)}`;
    assert.equal((await send('PUT', end)).status, 201);
    await assertStored('alice/left', bytes);
  });

  test('go to the later of two requests; the earlier is told so', async () => {
    const bytes = randomBytes(2 * MiB);
    const location = await begin('alice/two');
    const { stream } = endless(bytes.subarray(0, MiB));
    const first = send('PATCH', location, stream);
    await waitFor('some to be written', async () => (await sizeOf(location)) > 1);
    const second = await send('PATCH', location, bytes);
    assert.equal(second.status, 202, second.text);
    assert.equal((await first).status, 503);
    const end = `${second.headers.get('location')}&digest=${digestOf(bytes)}`;
    assert.equal((await send('PUT', end)).status, 201);
    await assertStored('alice/two', bytes);
  });

  for (const service of ['gateway', 'core']) {
    test(`go on when the ${service} was killed in the middle`, async () => {
      const bytes = randomBytes(2 * MiB);
      const name = `alice/killed-${service}`;
      const location = await begin(name);
      const { stream } = endless(bytes.subarray(0, MiB));
      const lost = send('PATCH', location, stream).then(
        ({ status }) => status,
        () => 'broken',
      );
      await waitFor('some to be written', async () => (await sizeOf(location)) > 1);
      const [pid] = await servicePids(stack.child.pid ?? 0, service);
      process.kill(pid ?? 0, 'SIGKILL');
      assert.ok([503, 'broken'].includes(await lost));
      await waitFor(
        'another one to serve',
        async () => (await fetch(`${stack.url}/readyz`).catch(() => undefined))?.ok,
      );
      const again = await waitFor('it to be taken', async () => {
        const answer = await send('PATCH', location, bytes).catch(() => undefined);
        return answer?.status === 202 && answer;
      });
      const end = `${again.headers.get('location')}&digest=${digestOf(bytes)}`;
      assert.equal((await send('PUT', end)).status, 201);
      await assertStored(name, bytes);
    });
  }
});

test('uploads over HTTP/2 are written as well, and broken off as well', async () => {
  const stack = await startConfigured({ tls: true, http: { http2: { disabled: false } } });
  const client = await http2Client(stack);
  try {
    const bytes = randomBytes(3 * MiB);
    const post = await client.ask('POST', `/v2/a/b/blobs/uploads/?digest=${digestOf(bytes)}`, {
      body: bytes,
    });
    assert.equal(post.status, 201, post.body.toString());
    const blob = await client.ask('GET', `/v2/a/b/blobs/${digestOf(bytes)}`);
    assert.ok(blob.body.equals(bytes));
    const begun = await client.ask('POST', '/v2/a/b/blobs/uploads/');
    const location = String(begun.headers.location);
    const stream = client.open('PATCH', location);
    stream.on('error', () => {});
    stream.write(bytes.subarray(0, 2 * MiB));
    const sizeOf = async () => {
      const { headers } = await client.ask('GET', location);
      return Number(String(headers.range).split('-')[1]) + 1;
    };
    await waitFor('some to be written', async () => (await sizeOf()) > 1);
    stream.close(8);
    await waitFor('it to be told', async () => (await sizeOf()) >= MiB);
    // Broken off without an error, and without an end of the stream, it is no end either.
    const size = 60_000;
    // Written by the gateway, and sent to the core.
    for (const length of [undefined, '800000', '200000']) {
      const more = length === undefined ? [] : [['content-length', length] as const];
      const part = randomBytes(size);
      const { headers: begun } = await client.ask('POST', '/v2/a/b/blobs/uploads/');
      const at = String(begun.location);
      const raw = await rawHttp2(stack.port);
      const block = headerBlock([
        [':method', 'PUT'],
        [':scheme', 'https'],
        [':authority', 'localhost'],
        [':path', `${at}&digest=${digestOf(part)}`],
        ...more,
      ]);
      raw.send(frameTypes.headers, flags.endHeaders, 1, block);
      for (let from = 0; from < size; from += 15_000) {
        raw.send(frameTypes.data, 0, 1, part.subarray(from, from + 15_000));
      }
      const hasCome = async () => {
        const { headers } = await client.ask('GET', at);
        return Number(String(headers.range).split('-')[1]) > 0;
      };
      await waitFor('it to come', hasCome);
      raw.send(frameTypes.rstStream, 0, 1, Buffer.alloc(4));
      await waitFor('it to be let go', async () => {
        const gone = await client.ask('DELETE', at);
        return gone.status === 204;
      });
      const blob = await client.ask('HEAD', `/v2/a/b/blobs/${digestOf(part)}`);
      assert.equal(blob.status, 404, `${size} ${more}`);
      raw.socket.destroy();
    }
    const put = await client.ask('PUT', `${location}&digest=${digestOf(bytes)}`, { body: bytes });
    assert.equal(put.status, 201, put.body.toString());
  } finally {
    client.close();
    await stack.remove();
  }
});
