import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { createMemoryDriver } from '../../services/core/storage/memory.ts';
import { type Core, pushImage, startCore } from '../support/core.ts';
import { makeImage } from '../support/images.ts';

const image = makeImage();
const { digest } = image.descriptor;
const blob = image.blobs[0]?.descriptor.digest;

describe('an answer that may have a body says how long it is', () => {
  let core: Core;

  before(async () => {
    core = await startCore({ driver: createMemoryDriver() });
    await pushImage(core, 'app', image, 'v1');
  });

  after(async () => {
    await core.close();
  });

  for (const [path, headers = {}] of [
    ['/v2/'],
    ['/v2/_catalog'],
    ['/v2/app/tags/list'],
    ['/v2/app/manifests/v1'],
    ['/v2/app/manifests/none'],
    [`/v2/app/referrers/${digest}`],
    [`/v2/app/blobs/${blob}`],
    [`/v2/app/blobs/${blob}`, { Range: 'bytes=0-1,5-6' }],
    [`/v2/app/blobs/${blob}`, { Range: 'bytes=2-' }],
    [`/v2/app/blobs/${blob}`, { Range: 'bytes=999-' }],
    [`/v2/app/manifests/${digest}`, { 'If-Match': '"other"' }],
    ['/nothing'],
  ] as [string, Record<string, string>?][]) {
    test(`GET and HEAD ${path.replace(/[0-9a-f]{64}/, '…')} ${JSON.stringify(headers)}`, async () => {
      const get = await core.send('GET', path, { headers });
      assert.equal(get.headers['content-length'], String(get.body.length));
      assert.equal(get.headers['transfer-encoding'], undefined);
      const { Range: _, ...others } = headers;
      const whole = await core.send('GET', path, { headers: others });
      const head = await core.send('HEAD', path, { headers: others });
      assert.equal(head.status, whole.status);
      assert.equal(head.headers['content-length'], String(whole.body.length));
    });
  }

  for (const [method, path] of [
    ['POST', '/v2/app/blobs/uploads/'],
    ['DELETE', '/v2/app/manifests/none'],
    ['PATCH', '/v2/app/tags/list'],
  ] as const) {
    test(`${method} ${path}`, async () => {
      const { headers, body } = await core.send(method, path);
      assert.equal(headers['content-length'], String(body.length));
    });
  }
});
