import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';
import { createMemoryDriver } from '../../services/core/storage/memory.ts';
import { type Core, pushBlob, pushImage, pushManifest, startCore } from '../support/core.ts';
import { describeEachStorage, type OpenStorage } from '../support/each-storage.ts';
import { createFailingDriver } from '../support/failing-driver.ts';
import { type ImageFixture, makeImage, makeLayer } from '../support/images.ts';

const app = 'team/app';
const tagPath = `/v2/${app}/manifests/latest`;

describeEachStorage('conditional requests', (open) => {
  let storage: OpenStorage;
  let core: Core;
  let first: ImageFixture;
  let second: ImageFixture;

  beforeEach(async () => {
    storage = await open();
    core = await startCore({ driver: storage.driver });
    [first, second] = [makeImage(), makeImage()];
    for (const blob of [...first.blobs, ...second.blobs]) await pushBlob(core, app, blob);
  });

  afterEach(async () => {
    await core.close();
    await storage.close();
  });

  const put = (image: ImageFixture, headers: Record<string, string>, reference = 'latest') =>
    pushManifest(core, app, image, reference, headers);
  const quoted = ({ descriptor }: ImageFixture) => `"${descriptor.digest}"`;
  const tagged = async (tag = 'latest') =>
    (await core.send('HEAD', `/v2/${app}/manifests/${tag}`)).headers['docker-content-digest'];

  async function assertRefused(answer: Awaited<ReturnType<Core['send']>>): Promise<void> {
    assert.deepEqual([answer.status, ...answer.codes], [412, 'PRECONDITION_FAILED']);
  }

  test('a tag that must not exist is made once', async () => {
    assert.equal((await put(first, { 'If-None-Match': '*' })).status, 201);
    const refused = await put(second, { 'If-None-Match': '*' });
    await assertRefused(refused);
    assert.equal(JSON.parse(refused.text).errors[0].detail.current, first.descriptor.digest);
    assert.equal(await tagged(), first.descriptor.digest);
    const untagged = await core.send('GET', `/v2/${app}/manifests/${second.descriptor.digest}`);
    assert.equal(untagged.status, 404, 'nothing of the refused push is there');
  });

  test('several tags that must not exist are made by a second attempt, where the first failed half way', async () => {
    const full = createFailingDriver(storage.driver);
    await using half = await startCore({ driver: full });
    const send = (image: ImageFixture) =>
      half.send('PUT', `/v2/${app}/manifests/${image.descriptor.digest}?tag=a&tag=b`, {
        headers: { 'Content-Type': image.descriptor.mediaType, 'If-None-Match': '*' },
        body: image.bytes,
      });
    full.failOn('no-space', (operation, path) => operation === 'put' && /tags\/b\//.test(path));
    assert.equal((await send(first)).status, 503);
    full.recover();
    await assertRefused(await send(second));
    assert.equal((await send(first)).status, 201);
    assert.deepEqual(
      [await tagged('a'), await tagged('b')],
      Array(2).fill(first.descriptor.digest),
    );
    const again = await send(first);
    await assertRefused(again);
    assert.match(again.text, /tag \\"a\\" points at this very manifest already/);
  });

  test('a tag moves only from where the client saw it', async () => {
    await put(first, {});
    await assertRefused(await put(second, { 'If-Match': quoted(second) }));
    assert.equal((await put(second, { 'If-Match': quoted(first) })).status, 201);
    assert.equal(await tagged(), second.descriptor.digest);
    await assertRefused(await put(first, { 'If-Match': quoted(first) }));
    const either = `"sha256:x", ${quoted(second)}`;
    assert.equal((await put(first, { 'If-Match': either })).status, 201);
  });

  test('a tag that must exist, does or does not', async () => {
    await assertRefused(await put(first, { 'If-Match': '*' }));
    await put(first, {});
    assert.equal((await put(second, { 'If-Match': '*' })).status, 201);
  });

  test('of many who saw the same tag, one moves it', async () => {
    await put(first, {});
    const images = Array.from({ length: 8 }, () => makeImage());
    for (const { blobs } of images) for (const blob of blobs) await pushBlob(core, app, blob);
    const answers = await Promise.all(
      images.map((image) => put(image, { 'If-Match': quoted(first) })),
    );
    const winners = images.filter((_, index) => answers[index]?.status === 201);
    assert.equal(winners.length, 1);
    assert.equal(answers.filter(({ status }) => status === 412).length, 7);
    assert.equal(await tagged(), winners[0]?.descriptor.digest);
  });

  test('several tags move all or not at all', async () => {
    const push = (image: ImageFixture, condition: Record<string, string>) =>
      put(image, condition, `${image.descriptor.digest}?tag=a&tag=b`);
    await put(first, {}, 'b');
    await assertRefused(await push(second, { 'If-None-Match': '*' }));
    assert.equal(await tagged('a'), undefined);
    assert.equal(await tagged('b'), first.descriptor.digest);
    await core.send('DELETE', `/v2/${app}/manifests/b`);
    assert.equal((await push(second, { 'If-None-Match': '*' })).status, 201);
    assert.equal(await tagged('a'), second.descriptor.digest);
  });

  test('a push by digest alone can ask that the manifest is new', async () => {
    const byDigest = first.descriptor.digest;
    assert.equal((await put(first, { 'If-None-Match': '*' }, byDigest)).status, 201);
    await assertRefused(await put(first, { 'If-None-Match': '*' }, byDigest));
  });

  test('a tag is deleted only where the client saw it', async () => {
    await put(first, {});
    const remove = (image: ImageFixture) =>
      core.send('DELETE', tagPath, { headers: { 'If-Match': quoted(image) } });
    await assertRefused(await remove(second));
    assert.equal((await remove(first)).status, 202);
    await assertRefused(await remove(first));
  });

  test('what is deleted by its digest is deleted only on the condition given', async () => {
    await pushImage(core, app, first, 'latest');
    const manifest = `/v2/${app}/manifests/${first.descriptor.digest}`;
    const blob = `/v2/${app}/blobs/${first.blobs[0]?.descriptor.digest}`;
    for (const path of [manifest, blob]) {
      const remove = (headers: Record<string, string>) => core.send('DELETE', path, { headers });
      await assertRefused(await remove({ 'If-Match': quoted(second) }));
      await assertRefused(await remove({ 'If-None-Match': '*' }));
      assert.equal((await remove({ 'If-Match': '"nothing' })).status, 412);
      assert.equal((await remove({ 'If-Match': 'W/"x"' })).status, 400);
      assert.equal((await core.send('HEAD', path)).status, 200);
      const { etag = '' } = (await core.send('HEAD', path)).headers;
      assert.equal((await remove({ 'If-Match': `"other", ${etag}` })).status, 202);
      await assertRefused(await remove({ 'If-Match': etag }));
      await assertRefused(await remove({ 'If-Match': '*' }));
      assert.equal((await remove({})).status, 404);
    }
    assert.equal(await tagged(), undefined);
  });

  test('a condition that makes no sense on a write is refused, not passed over', async () => {
    for (const headers of [
      { 'If-None-Match': quoted(first) },
      { 'If-Match': 'W/"x"' },
      { 'If-Match': quoted(first), 'If-None-Match': '*' },
    ] as Record<string, string>[]) {
      const { status, codes } = await put(first, headers);
      assert.deepEqual([status, ...codes], [400, 'REQUEST_INVALID']);
    }
    assert.equal(await tagged(), undefined);
  });

  test('a read depends on what the client has', async () => {
    await pushImage(core, app, first, 'latest');
    for (const path of [tagPath, `/v2/${app}/blobs/${first.blobs[0]?.descriptor.digest}`]) {
      const etag = (await core.send('HEAD', path)).headers.etag ?? '';
      for (const method of ['GET', 'HEAD']) {
        const status = async (headers: Record<string, string>) =>
          (await core.send(method, path, { headers })).status;
        assert.equal(await status({ 'If-None-Match': etag }), 304);
        assert.equal(await status({ 'If-None-Match': `"other", W/${etag}` }), 304);
        assert.equal(await status({ 'If-None-Match': '"other"' }), 200);
        assert.equal(await status({ 'If-Match': etag }), 200);
        assert.equal(await status({ 'If-Match': '"other"' }), 412);
      }
    }
  });
});

test('a range goes with the content it was begun with', async () => {
  const core = await startCore({ driver: createMemoryDriver() });
  const layer = makeLayer(1000);
  await pushBlob(core, app, layer);
  const path = `/v2/${app}/blobs/${layer.descriptor.digest}`;
  const ask = async (condition: string) => {
    const headers = { Range: 'bytes=10-19', 'If-Range': condition };
    const { status, body } = await core.send('GET', path, { headers });
    return [status, body.length];
  };
  assert.deepEqual(await ask(`"${layer.descriptor.digest}"`), [206, 10]);
  assert.deepEqual(await ask('"sha256:other"'), [200, 1000]);
  assert.deepEqual(await ask(`W/"${layer.descriptor.digest}"`), [200, 1000]);
  assert.deepEqual(await ask('Sat, 21 Nov 2026 00:00:00 GMT'), [200, 1000]);
  await core.close();
});

test('several ranges come in one answer, each with its place', async () => {
  const core = await startCore({ driver: createMemoryDriver() });
  const layer = makeLayer(1000);
  await pushBlob(core, app, layer);
  const answer = await core.send('GET', `/v2/${app}/blobs/${layer.descriptor.digest}`, {
    headers: { Range: 'bytes=0-9,500-509,-5' },
  });
  assert.equal(answer.status, 206);
  assert.equal(Number(answer.headers['content-length']), answer.body.length);
  const boundary = /^multipart\/byteranges; boundary=(\w+)$/.exec(
    answer.headers['content-type'] ?? '',
  )?.[1];
  const parts = answer.body.toString('latin1').split(`\r\n--${boundary}`).slice(1, -1);
  const expected = [
    ['bytes 0-9/1000', layer.bytes.subarray(0, 10)],
    ['bytes 500-509/1000', layer.bytes.subarray(500, 510)],
    ['bytes 995-999/1000', layer.bytes.subarray(995)],
  ] as const;
  assert.equal(parts.length, expected.length);
  for (const [index, [range, bytes]] of expected.entries()) {
    const [head = '', ...body] = (parts[index] ?? '').split('\r\n\r\n');
    assert.match(head, new RegExp(`Content-Range: ${range}`));
    assert.deepEqual(Buffer.from(body.join('\r\n\r\n'), 'latin1'), bytes);
  }
  await core.close();
});
