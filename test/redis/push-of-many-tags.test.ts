import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '#libs/oci/digest.ts';
import { parseRepositoryName, parseTag } from '#libs/oci/reference.ts';
import { startCoresOnRedis } from '../support/cores-on-redis.ts';
import { makeImage } from '../support/images.ts';
import { chunkOf } from '../support/upload-chunks.ts';

const app = parseRepositoryName('team/app');

test('a push of many tags asks Redis as often for each of them, however many there are', async () => {
  await using cores = await startCoresOnRedis();
  let scripts = 0;
  const run = cores.redis.run.bind(cores.redis);
  cores.redis.run = (...args: Parameters<typeof run>) => {
    scripts += 1;
    return run(...args);
  };
  const { uploads, manifests } = cores.openCore();
  const { blobs, bytes, descriptor } = makeImage();
  for (const blob of blobs) {
    const { id } = await uploads.start(app, '');
    const key = { repository: app, id, subject: '' };
    await uploads.complete(key, digestOf(blob.bytes), chunkOf(blob.bytes));
  }
  async function scriptsFor(count: number): Promise<number> {
    scripts = 0;
    const moreTags = Array.from({ length: count }, (_, index) => parseTag(`t${index}`));
    await manifests.put(app, {
      reference: { kind: 'digest', digest: digestOf(bytes) },
      bytes,
      contentType: descriptor.mediaType,
      moreTags,
    });
    return scripts;
  }
  const [ten, twenty, forty] = [await scriptsFor(10), await scriptsFor(20), await scriptsFor(40)];
  assert.equal(forty - twenty, 2 * (twenty - ten));
});
