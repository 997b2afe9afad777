import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { digestOf } from '#libs/oci/digest.ts';
import { type Core, pushBlob, type Received, startCore } from '../support/core.ts';
import { describeEachStorage, type OpenStorage } from '../support/each-storage.ts';
import { createFailingDriver, type FailingDriver } from '../support/failing-driver.ts';
import { makeLayer } from '../support/images.ts';

describeEachStorage('uploading through the API', (open) => {
  let storage: OpenStorage;
  let driver: FailingDriver;
  let core: Core;

  before(async () => {
    storage = await open();
    driver = createFailingDriver(storage.driver);
    core = await startCore({ driver });
  });

  after(async () => {
    await core.close();
    await storage.close();
  });

  const bytes = randomBytes(5000);
  const digest = digestOf(bytes);

  async function start(name = 'team/app'): Promise<string> {
    const { status, headers } = await core.send('POST', `/v2/${name}/blobs/uploads/`);
    assert.equal(status, 202);
    return headers.location ?? '';
  }

  function assertProgress(answer: Received, status: number, location: string, range: string): void {
    assert.equal(answer.status, status, answer.text);
    const [path = ''] = location.split('?');
    const offset = range === '0-0' ? 0 : Number(range.slice(2)) + 1;
    assert.equal(answer.headers.location, `${path}?offset=${offset}`);
    assert.equal(answer.headers.range, range);
    assert.equal(answer.headers['docker-upload-uuid'], path.split('/').at(-1));
  }

  function assertError({ status, codes }: Received, expected: [number, string]): void {
    assert.deepEqual([status, ...codes], expected);
  }

  function assertCreated({ status, headers, text }: Received, name: string, wanted = digest): void {
    assert.equal(status, 201, text);
    assert.equal(headers.location, `/v2/${name}/blobs/${wanted}`);
    assert.equal(headers['docker-content-digest'], wanted);
  }

  async function assertServed(
    name: string,
    content: Buffer = bytes,
    wanted = digest,
  ): Promise<void> {
    const { status, body } = await core.send('GET', `/v2/${name}/blobs/${wanted}`);
    assert.equal(status, 200);
    assert.ok(body.equals(content));
  }

  const patch = (location: string, body: Buffer | readonly Buffer[], range?: string) =>
    core.send('PATCH', location, {
      body,
      headers: range === undefined ? {} : { 'Content-Range': range },
    });

  test('POST opens a session at a relative Location', async () => {
    const answer = await core.send('POST', '/v2/team/app/blobs/uploads/');
    const location = answer.headers.location ?? '';
    assert.match(location, /^\/v2\/team\/app\/blobs\/uploads\/[0-9a-f-]{36}\?offset=0$/);
    assertProgress(answer, 202, location, '0-0');
    assertProgress(await core.send('GET', location), 204, location, '0-0');
  });

  test('POST with a digest and the bytes stores the blob at once', async () => {
    const layer = makeLayer(3000);
    const answer = await pushBlob(core, 'team/single', layer);
    assertCreated(answer, 'team/single', layer.descriptor.digest);
    await assertServed('team/single', layer.bytes, layer.descriptor.digest);
  });

  test('POST with a digest that is wrong, or none, stores nothing', async () => {
    const wrong = digestOf(Buffer.from('other'));
    const path = '/v2/team/wrong/blobs/uploads/?digest=';
    assertError(await core.send('POST', path + wrong, { body: bytes }), [400, 'DIGEST_INVALID']);
    assertError(await core.send('POST', `${path}sha256:1`, { body: bytes }), [
      400,
      'DIGEST_INVALID',
    ]);
    assert.equal((await core.send('HEAD', `/v2/team/wrong/blobs/${wrong}`)).status, 404);
    assert.equal((await core.send('HEAD', `/v2/team/wrong/blobs/${digest}`)).status, 404);
  });

  test('docker’s way: one PATCH without a length, then an empty PUT', async () => {
    const location = await start('team/docker');
    const parts = [bytes.subarray(0, 1000), bytes.subarray(1000, 1001), bytes.subarray(1001)];
    assertProgress(await patch(location, parts), 202, location, '0-4999');
    assertCreated(await core.send('PUT', `${location}?digest=${digest}`), 'team/docker');
    await assertServed('team/docker');
    assertError(await core.send('GET', location), [404, 'BLOB_UPLOAD_UNKNOWN']);
  });

  test('a chunk that is sent again to the address of the last answer is taken once', async () => {
    const first = await start('team/again');
    const second = (await patch(first, bytes.subarray(0, 2000))).headers.location ?? '';
    for (const _ of ['sent', 'sent again']) {
      assertProgress(await patch(second, bytes.subarray(2000)), 202, first, '0-4999');
    }
    const other = Buffer.from('other bytes');
    const nonsense = `${first.split('?')[0]}?offset=2e3`;
    assertError(await patch(nonsense, other), [400, 'BLOB_UPLOAD_INVALID']);
    const beyond = await patch(`${nonsense.slice(0, -3)}5001`, other);
    assertError(beyond, [416, 'RANGE_INVALID']);
    assertProgress(beyond, 416, first, '0-4999');
    const end = `${second}&digest=${digest}`;
    assertCreated(await core.send('PUT', end, { body: bytes.subarray(2000) }), 'team/again');
    await assertServed('team/again');
  });

  test('chunks with their ranges, the last one with the PUT', async () => {
    const location = await start('team/chunks');
    assertProgress(
      await patch(location, bytes.subarray(0, 2000), '0-1999'),
      202,
      location,
      '0-1999',
    );
    const second = await patch(location, bytes.subarray(2000, 4000), 'bytes 2000-3999/*');
    assertProgress(second, 202, location, '0-3999');
    assertProgress(await core.send('GET', location), 204, location, '0-3999');
    const last = await core.send('PUT', `${location}?digest=${digest}`, {
      body: bytes.subarray(4000),
      headers: { 'Content-Range': '4000-4999' },
    });
    assertCreated(last, 'team/chunks');
    await assertServed('team/chunks');
  });

  test('a chunk out of order is 416 with the true Range, and the upload goes on', async () => {
    const location = await start();
    await patch(location, bytes.subarray(0, 2000), '0-1999');
    for (const [range, size] of [
      ['0-1999', 2000],
      ['1999-2998', 1000],
      ['3000-3999', 1000],
    ] as const) {
      const answer = await patch(location, bytes.subarray(0, size), range);
      assertError(answer, [416, 'RANGE_INVALID']);
      assertProgress(answer, 416, location, '0-1999');
    }
    const put = await core.send('PUT', `${location}?digest=${digest}`, {
      body: bytes.subarray(1000),
      headers: { 'Content-Range': '1000-4999' },
    });
    assertProgress(put, 416, location, '0-1999');
    await patch(location, bytes.subarray(2000), '2000-4999');
    assert.equal((await core.send('PUT', `${location}?digest=${digest}`)).status, 201);
  });

  for (const [range, status, code] of [
    ['nonsense', 400, 'BLOB_UPLOAD_INVALID'],
    ['9-0', 400, 'BLOB_UPLOAD_INVALID'],
    ['0-98', 400, 'SIZE_INVALID'],
    ['0-100', 400, 'SIZE_INVALID'],
  ] as const) {
    test(`Content-Range ${range} for 100 bytes is refused with ${code}`, async () => {
      const location = await start();
      assertError(await patch(location, bytes.subarray(0, 100), range), [status, code]);
      assertProgress(await core.send('GET', location), 204, location, '0-0');
    });
  }

  test('a PUT without a digest, or with a bad one, leaves the upload as it was', async () => {
    const location = await start();
    await patch(location, bytes);
    for (const query of ['', '?digest=', '?digest=sha256:xyz', '?digest=md5:00']) {
      assertError(await core.send('PUT', location + query), [400, 'DIGEST_INVALID']);
    }
    assertProgress(await core.send('GET', location), 204, location, '0-4999');
  });

  test('a PUT whose digest is not that of the bytes ends the upload', async () => {
    const location = await start();
    await patch(location, bytes);
    const wrong = digestOf(Buffer.from('other'));
    assertError(await core.send('PUT', `${location}?digest=${wrong}`), [400, 'DIGEST_INVALID']);
    assertError(await core.send('GET', location), [404, 'BLOB_UPLOAD_UNKNOWN']);
  });

  test('a PUT with a sha512 digest stores the blob under it', async () => {
    const long = digestOf(bytes, 'sha512');
    const location = await start('team/long');
    assertCreated(
      await core.send('PUT', `${location}?digest=${long}`, { body: bytes }),
      'team/long',
      long,
    );
    await assertServed('team/long', bytes, long);
  });

  test('a cancelled upload is gone', async () => {
    const location = await start();
    await patch(location, bytes);
    assert.equal((await core.send('DELETE', location)).status, 204);
    for (const method of ['GET', 'PATCH', 'DELETE']) {
      assertError(await core.send(method, location), [404, 'BLOB_UPLOAD_UNKNOWN']);
    }
  });

  test('a session belongs to its repository', async () => {
    const location = await start('team/app');
    const elsewhere = location.replace('team/app', 'team/other');
    assertError(await core.send('GET', elsewhere), [404, 'BLOB_UPLOAD_UNKNOWN']);
    assertError(await patch(elsewhere, bytes), [404, 'BLOB_UPLOAD_UNKNOWN']);
    assert.equal((await core.send('GET', location)).status, 204);
  });

  test('an upload goes on in a core that knows nothing but the storage', async () => {
    const location = await start('team/resumed');
    await patch(location, bytes.subarray(0, 2000));
    const next = await startCore({ driver });
    assertProgress(await next.send('GET', location), 204, location, '0-1999');
    const headers = { 'Content-Range': '2000-4999' };
    await next.send('PATCH', location, { body: bytes.subarray(2000), headers });
    assertCreated(await next.send('PUT', `${location}?digest=${digest}`), 'team/resumed');
    await next.close();
    await assertServed('team/resumed');
  });

  test('a mount gives the blob without its bytes', async () => {
    const layer = makeLayer();
    await pushBlob(core, 'team/source', layer);
    const query = `?mount=${layer.descriptor.digest}&from=team/source`;
    const answer = await core.send('POST', `/v2/team/target/blobs/uploads/${query}`);
    assertCreated(answer, 'team/target', layer.descriptor.digest);
    await assertServed('team/target', layer.bytes, layer.descriptor.digest);
  });

  test('a mount that cannot be opens a session instead', async () => {
    const layer = makeLayer();
    await pushBlob(core, 'team/source', layer);
    for (const query of [
      `?mount=${layer.descriptor.digest}&from=team/without`,
      `?mount=${digestOf(Buffer.from('absent'))}`,
      `?mount=${digestOf(Buffer.from('absent'))}&from=team/source`,
      '?from=team/source',
    ]) {
      const answer = await core.send('POST', `/v2/team/nomount/blobs/uploads/${query}`);
      assert.equal(answer.status, 202, query);
      assertProgress(
        await core.send('GET', answer.headers.location ?? ''),
        204,
        answer.headers.location ?? '',
        '0-0',
      );
    }
  });

  test('a full disk is 503 with a time to come back, and the upload goes on later', async () => {
    const location = await start('team/full');
    await patch(location, bytes.subarray(0, 1000));
    driver.failOn('no-space', (operation) => operation === 'write');
    const refused = await patch(location, bytes.subarray(1000), '1000-4999');
    assertError(refused, [503, 'UNAVAILABLE']);
    assert.match(refused.headers['retry-after'] ?? '', /^\d+$/);
    assert.ok(!refused.text.includes('/docker/registry'), 'no path of ours is told');
    driver.recover();
    assertProgress(await core.send('GET', location), 204, location, '0-999');
    await patch(location, bytes.subarray(1000), '1000-4999');
    assertCreated(await core.send('PUT', `${location}?digest=${digest}`), 'team/full');
    await assertServed('team/full');
  });

  test('a storage that takes no writes still serves reads', async () => {
    const layer = makeLayer();
    await pushBlob(core, 'team/readonly', layer);
    const writes = ['put', 'openWriter', 'move', 'remove'];
    driver.failOn('read-only', (operation) => writes.includes(operation));
    assertError(await core.send('POST', '/v2/team/readonly/blobs/uploads/'), [503, 'UNAVAILABLE']);
    assertError(await pushBlob(core, 'team/readonly', makeLayer()), [503, 'UNAVAILABLE']);
    await assertServed('team/readonly', layer.bytes, layer.descriptor.digest);
    driver.recover();
  });

  test('a PATCH of nothing changes nothing', async () => {
    const location = await start();
    await patch(location, bytes.subarray(0, 10));
    assertProgress(await patch(location, Buffer.alloc(0)), 202, location, '0-9');
  });
});
