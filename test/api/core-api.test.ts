import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { type RouteId, routes } from '#libs/api/routes.ts';
import { digestOf } from '#libs/oci/digest.ts';
import { createUploadId } from '#libs/oci/upload-id.ts';
import { type Core, pushBlob, pushImage, type Received, startCore } from '../support/core.ts';
import { describeEachStorage, type OpenStorage } from '../support/each-storage.ts';
import { type Fixture, makeImage, makeLayer } from '../support/images.ts';

const unknownDigest = digestOf(Buffer.from('nobody has this'));

/** What each row of the route table answers where there is nothing yet: status, code. */
const answersOfNothing: Record<RouteId, [status: number, code?: string]> = {
  base: [200],
  catalog: [200],
  listTags: [404, 'NAME_UNKNOWN'],
  getManifest: [404, 'MANIFEST_UNKNOWN'],
  putManifest: [400, 'MANIFEST_INVALID'],
  deleteManifest: [404, 'MANIFEST_UNKNOWN'],
  listReferrers: [200],
  startUpload: [202],
  uploadStatus: [404, 'BLOB_UPLOAD_UNKNOWN'],
  appendUpload: [404, 'BLOB_UPLOAD_UNKNOWN'],
  completeUpload: [404, 'BLOB_UPLOAD_UNKNOWN'],
  cancelUpload: [404, 'BLOB_UPLOAD_UNKNOWN'],
  getBlob: [404, 'BLOB_UNKNOWN'],
  deleteBlob: [404, 'BLOB_UNKNOWN'],
};

import { waitFor } from '../support/wait-for.ts';

describeEachStorage('the V2 API', (open) => {
  let storage: OpenStorage;
  let core: Core;

  before(async () => {
    storage = await open();
    core = await startCore({ driver: storage.driver });
  });

  after(async () => {
    await core.close();
    await storage.close();
  });

  function assertError({ status, codes, headers }: Received, expected: [number, string]): void {
    assert.deepEqual([status, ...codes], expected);
    assert.equal(headers['content-type'], 'application/json');
  }

  for (const { id, method, path } of routes) {
    const [status, code] = answersOfNothing[id];
    test(`${method} ${path} answers ${status} ${code ?? ''} where there is nothing`, async () => {
      const concrete = path
        .replace('<name>', 'empty/app')
        .replace('<reference>', 'latest')
        .replace('<digest>', unknownDigest)
        .replace('<session>', createUploadId());
      const query = id === 'completeUpload' ? `?digest=${unknownDigest}` : '';
      const answer = await core.send(method, concrete + query);
      assert.equal(answer.headers['docker-distribution-api-version'], 'registry/2.0');
      assert.deepEqual([answer.status, ...answer.codes], code ? [status, code] : [status]);
    });
  }

  test('the base tells that this is a registry, with and without its last slash', async () => {
    for (const path of ['/v2/', '/v2']) {
      const { status, text } = await core.send('GET', path);
      assert.deepEqual([status, text], [200, '{}']);
    }
  });

  for (const [method, path, status, code] of [
    ['GET', '/', 404, 'NOT_FOUND'],
    ['GET', '/v1/_ping', 404, 'NOT_FOUND'],
    ['GET', '/v2/app', 404, 'NOT_FOUND'],
    ['GET', '/v2/Bad/tags/list', 400, 'NAME_INVALID'],
    ['GET', '/v2/a..b/tags/list', 400, 'NAME_INVALID'],
    ['GET', '/v2/a%2Fb/tags/list', 400, 'NAME_INVALID'],
    ['GET', `/v2/${'a'.repeat(256)}/tags/list`, 400, 'NAME_INVALID'],
    ['GET', '/v2/app/blobs/sha256:12', 400, 'DIGEST_INVALID'],
    ['GET', '/v2/app/blobs/md5:d41d8cd98f00b204e9800998ecf8427e', 400, 'DIGEST_INVALID'],
    ['GET', '/v2/app/manifests/sha256:12', 400, 'DIGEST_INVALID'],
    ['GET', '/v2/app/manifests/-bad', 404, 'MANIFEST_UNKNOWN'],
    ['PUT', '/v2/app/manifests/-bad', 400, 'TAG_INVALID'],
    ['GET', '/v2/app/blobs/uploads/no-uuid', 404, 'BLOB_UPLOAD_UNKNOWN'],
    ['GET', '/v2/app/blobs/uploads/../../secret', 404, 'NOT_FOUND'],
  ] as const) {
    test(`${method} ${path.slice(0, 60)} is refused with ${status} ${code}`, async () => {
      assertError(await core.send(method, path), [status, code]);
    });
  }

  for (const [method, path, allow] of [
    ['POST', '/v2/', 'GET, HEAD'],
    ['DELETE', '/v2/_catalog', 'GET, HEAD'],
    ['POST', '/v2/app/manifests/latest', 'GET, HEAD, PUT, DELETE'],
    ['PATCH', `/v2/app/blobs/${unknownDigest}`, 'GET, HEAD, DELETE'],
    ['GET', '/v2/app/blobs/uploads/', 'POST'],
  ] as const) {
    test(`${method} ${path.slice(0, 30)} is not supported, and what is, is told`, async () => {
      const answer = await core.send(method, path);
      assertError(answer, [405, 'UNSUPPORTED']);
      assert.equal(answer.headers.allow, allow);
    });
  }

  async function pushedBlob(size = 1000): Promise<{ blob: Fixture; path: string }> {
    const blob = makeLayer(size);
    assert.equal((await pushBlob(core, 'team/app', blob)).status, 201);
    return { blob, path: `/v2/team/app/blobs/${blob.descriptor.digest}` };
  }

  test('a blob is served whole, with what a client may rely on', async () => {
    const { blob, path } = await pushedBlob(2_500_000);
    const { status, headers, body } = await core.send('GET', path);
    assert.equal(status, 200);
    assert.ok(body.equals(blob.bytes));
    assert.equal(headers['content-length'], '2500000');
    assert.equal(headers['content-type'], 'application/octet-stream');
    assert.equal(headers['docker-content-digest'], blob.descriptor.digest);
    assert.equal(headers.etag, `"${blob.descriptor.digest}"`);
    assert.equal(headers['accept-ranges'], 'bytes');
  });

  test('the empty blob is served', async () => {
    const { path } = await pushedBlob(0);
    const { status, headers, body } = await core.send('GET', path);
    assert.deepEqual([status, headers['content-length'], body.length], [200, '0', 0]);
  });

  for (const [range, expected] of [
    ['bytes=0-0', [0, 0]],
    ['bytes=10-19', [10, 19]],
    ['bytes=990-', [990, 999]],
    ['bytes=-5', [995, 999]],
    ['bytes=-5000', [0, 999]],
    ['bytes=900-5000', [900, 999]],
  ] as const) {
    test(`Range ${range} of 1000 bytes gives ${expected.join(' to ')}`, async () => {
      const { blob, path } = await pushedBlob();
      const { status, headers, body } = await core.send('GET', path, { headers: { range } });
      const [start, end] = expected;
      assert.equal(status, 206);
      assert.equal(headers['content-range'], `bytes ${start}-${end}/1000`);
      assert.equal(headers['content-length'], String(end - start + 1));
      assert.deepEqual(body, blob.bytes.subarray(start, end + 1));
    });
  }

  for (const range of ['bytes=1000-', 'bytes=5000-6000', 'bytes=-0', 'bytes=9-3']) {
    test(`Range ${range} of 1000 bytes cannot be satisfied, and the size is told`, async () => {
      const { path } = await pushedBlob();
      const answer = await core.send('GET', path, { headers: { range } });
      assertError(answer, [416, 'RANGE_INVALID']);
      assert.equal(answer.headers['content-range'], 'bytes */1000');
    });
  }

  for (const range of ['bytes=', 'bytes=0-1,a-b', 'lines=1-2', 'nonsense']) {
    test(`Range "${range}" is passed over`, async () => {
      const { path } = await pushedBlob();
      const { status, body } = await core.send('GET', path, { headers: { range } });
      assert.deepEqual([status, body.length], [200, 1000]);
    });
  }

  test('HEAD tells what GET tells, without a body, for blobs and manifests', async () => {
    const image = makeImage();
    await pushImage(core, 'team/head', image, 'v1');
    const blob = image.blobs[0]?.descriptor.digest;
    for (const path of ['manifests/v1', `manifests/${image.descriptor.digest}`, `blobs/${blob}`]) {
      const get = await core.send('GET', `/v2/team/head/${path}`);
      const head = await core.send('HEAD', `/v2/team/head/${path}`);
      assert.deepEqual([get.status, head.status], [200, 200]);
      assert.deepEqual({ ...head.headers, date: '' }, { ...get.headers, date: '' });
      assert.equal(head.body.length, 0);
    }
  });

  test('HEAD of what is absent is 404 without a body', async () => {
    for (const path of ['manifests/absent', `blobs/${unknownDigest}`]) {
      const { status, body } = await core.send('HEAD', `/v2/team/head/${path}`);
      assert.deepEqual([status, body.length], [404, 0]);
    }
  });

  test('a client that has the content is told so, by digest, weakly, or by any', async () => {
    const image = makeImage();
    await pushImage(core, 'team/etag', image, 'v1');
    const blob = image.blobs[0]?.descriptor.digest ?? '';
    for (const [path, digest] of [
      ['manifests/v1', image.descriptor.digest],
      [`blobs/${blob}`, blob],
    ] as const) {
      for (const known of [`"${digest}"`, `W/"${digest}"`, `"x", "${digest}"`, '*']) {
        const headers = { 'if-none-match': known };
        const answer = await core.send('GET', `/v2/team/etag/${path}`, { headers });
        assert.deepEqual([answer.status, answer.body.length], [304, 0], known);
        assert.equal(answer.headers.etag, `"${digest}"`);
      }
      const headers = { 'if-none-match': `"${unknownDigest}"` };
      assert.equal((await core.send('GET', `/v2/team/etag/${path}`, { headers })).status, 200);
    }
  });

  test('a blob is served only through a repository that has it', async () => {
    const { blob } = await pushedBlob();
    const elsewhere = `/v2/team/elsewhere/blobs/${blob.descriptor.digest}`;
    assertError(await core.send('GET', elsewhere), [404, 'BLOB_UNKNOWN']);
    assert.equal((await core.send('HEAD', elsewhere)).status, 404);
  });

  test('a deleted blob is gone', async () => {
    const { blob, path } = await pushedBlob();
    const { status, headers } = await core.send('DELETE', path);
    assert.equal(status, 202);
    assert.equal(headers['docker-content-digest'], blob.descriptor.digest);
    assertError(await core.send('GET', path), [404, 'BLOB_UNKNOWN']);
    assertError(await core.send('DELETE', path), [404, 'BLOB_UNKNOWN']);
  });

  test('deleting is not supported unless it is enabled, whether there is something or not', async () => {
    const image = makeImage();
    await pushImage(core, 'team/kept', image, 'v1');
    const careful = await startCore({ driver: storage.driver, deleteEnabled: false });
    const blob = image.blobs[0]?.descriptor.digest;
    for (const path of ['manifests/v1', `manifests/${image.descriptor.digest}`, `blobs/${blob}`]) {
      assertError(await careful.send('DELETE', `/v2/team/kept/${path}`), [405, 'UNSUPPORTED']);
      assert.equal((await careful.send('HEAD', `/v2/team/kept/${path}`)).status, 200);
    }
    await careful.close();
  });

  test('an unhealthy core serves nothing, and says when to come back', async () => {
    const check = async () => {
      throw new Error('it hurts');
    };
    const sore = {
      name: 'a',
      publicMessage: 'a check fails',
      interval: 1,
      threshold: 1,
      maxDuration: 0,
      check,
    };
    const sick = await startCore({ driver: storage.driver, checks: [sore] });
    await waitFor('the check to fail', () => sick.health.reason() !== undefined);
    const answer = await sick.send('GET', '/v2/');
    assertError(answer, [503, 'UNAVAILABLE']);
    assert.match(answer.headers['retry-after'] ?? '', /^\d+$/);
    await sick.close();
  });

  test('nothing of the above was an error of ours', () => {
    assert.deepEqual(
      core.problems().filter((message) => message.startsWith('error:')),
      [],
    );
  });
});
