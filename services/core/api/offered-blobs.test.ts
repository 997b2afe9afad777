import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { fileOfferIn } from '#libs/http/file-offer.ts';
import { type Core, pushBlob, startCore } from '../../../test/support/core.ts';
import { makeLayer } from '../../../test/support/images.ts';
import { createMemoryDriver } from '../storage/memory.ts';

const tree = '7:42';
const layer = makeLayer(1000);
const { digest } = layer.descriptor;
const path = `/v2/team/app/blobs/${digest}`;

describe('a blob is offered as a file', () => {
  let core: Core;

  const start = async (trusted: boolean) => {
    core = await startCore({
      driver: createMemoryDriver(),
      tree: { name: tree, validates: false },
      trusted,
    });
    await pushBlob(core, 'team/app', layer);
  };
  beforeEach(() => start(true));
  afterEach(() => core.close());

  const get = async (headers: Record<string, string>, method = 'GET') => {
    const answer = await core.send(method, path, { headers });
    return { ...answer, offer: fileOfferIn(answer.headers) };
  };
  const asking = { 'X-Portcullis-Tree': tree };

  test('to a gateway that reads the same tree, with the headers of the blob and no body', async () => {
    const { status, headers, body, offer } = await get(asking);
    const hex = digest.slice('sha256:'.length);
    assert.deepEqual(offer, {
      path: `blobs/sha256/${hex.slice(0, 2)}/${hex}/data`,
      size: 1000,
      ranges: [],
    });
    assert.deepEqual([status, body.length], [200, 0]);
    assert.equal(headers['content-type'], 'application/octet-stream');
    assert.equal(headers['docker-content-digest'], digest);
    assert.equal(headers['accept-ranges'], 'bytes');
    assert.ok((await get({ 'X-Portcullis-Tree': '*' })).offer !== undefined);
  });

  test('with the ranges that are to be sent', async () => {
    const { status, offer } = await get({ ...asking, Range: 'bytes=0-9,-10' });
    assert.equal(status, 206);
    assert.deepEqual(offer?.ranges, [
      { start: 0, end: 9 },
      { start: 990, end: 999 },
    ]);
    const beyond = await get({ ...asking, Range: 'bytes=2000-' });
    assert.deepEqual([beyond.status, beyond.offer], [416, undefined]);
  });

  test('to nobody else, and not where there is no body to be sent', async () => {
    for (const [headers, method, status] of [
      [{}, 'GET', 200],
      [{ 'X-Portcullis-Tree': '7:43' }, 'GET', 200],
      [{ 'X-Portcullis-Tree': '' }, 'GET', 200],
      [asking, 'HEAD', 200],
      [{ ...asking, 'If-None-Match': `"${digest}"` }, 'GET', 304],
    ] as const) {
      const answer = await get(headers, method);
      assert.deepEqual([answer.status, answer.offer], [status, undefined]);
      if (method === 'GET' && status === 200) assert.deepEqual(answer.body, layer.bytes);
    }
    await core.close();
    await start(false);
    const untrusted = await get(asking);
    assert.deepEqual([untrusted.offer, untrusted.body], [undefined, layer.bytes]);
  });
});
