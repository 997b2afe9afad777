import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { type Digest, digestOf } from '#libs/oci/digest.ts';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { createCountingDriver } from '../../../test/support/counting-driver.ts';
import { openRegistry } from '../../../test/support/open-registry.ts';
import type { StorageDriver } from '../storage/driver.ts';
import { createMemoryDriver } from '../storage/memory.ts';
import type { BlobStore } from './blob-store.ts';
import { paths } from './paths.ts';
import { readAll } from './small-files.ts';

const app = parseRepositoryName('team/app');
const other = parseRepositoryName('team/other');
const bytes = Buffer.from('some content');
const digest = digestOf(bytes);
const unknown = { name: 'RegistryError', code: 'BLOB_UNKNOWN' };

describe('the blobs of a repository', () => {
  let driver: StorageDriver;
  let blobs: BlobStore;

  beforeEach(async () => {
    driver = createMemoryDriver();
    blobs = openRegistry(driver).blobs;
    await driver.put(paths.blob(digest), bytes);
  });

  async function content(repository = app, wanted: Digest = digest): Promise<string> {
    const chunks: Buffer[] = [];
    for await (const chunk of await (await blobs.get(repository, wanted)).open())
      chunks.push(chunk as Buffer);
    return Buffer.concat(chunks).toString();
  }

  test('bytes without a link are nobody’s', async () => {
    assert.equal(await blobs.has(app, digest), false);
    await assert.rejects(blobs.get(app, digest), unknown);
  });

  test('a link gives the blob to its repository only', async () => {
    await blobs.link(app, digest);
    assert.equal((await blobs.get(app, digest)).size, bytes.length);
    assert.equal(await content(), 'some content');
    assert.equal(await blobs.has(other, digest), false);
    await assert.rejects(blobs.get(other, digest), unknown);
  });

  test('a link whose bytes are gone is no blob', async () => {
    await blobs.link(app, digest);
    await driver.remove(paths.blob(digest));
    assert.equal(await blobs.has(app, digest), false);
    await assert.rejects(blobs.get(app, digest), unknown);
  });

  test('link and bytes are looked for once, and again only if the bytes went away meanwhile', async () => {
    await blobs.link(app, digest);
    const counting = createCountingDriver(driver);
    const { blobs: counted } = openRegistry(counting);
    counting.reset();
    const blob = await counted.get(app, digest);
    await (await blob.open()).toArray();
    assert.deepEqual(counting.operations(), ['read', 'stat', 'read']);
    await driver.remove(paths.blob(digest));
    await assert.rejects(blob.open(), unknown);
  });

  test('a range is read from the blob', async () => {
    await blobs.link(app, digest);
    const stream = await (await blobs.get(app, digest)).open({ start: 5, end: 8 });
    assert.equal((await stream.toArray()).join(''), 'cont');
  });

  test('a mount gives the blob without copying it', async () => {
    await blobs.link(app, digest);
    assert.equal(await blobs.mount(app, other, digest), true);
    assert.equal(await content(other), 'some content');
    await blobs.remove(app, digest);
    assert.equal(await content(other), 'some content');
  });

  test('a mount from a repository without the link or the bytes gives nothing', async () => {
    assert.equal(await blobs.mount(app, other, digest), false);
    await blobs.link(app, digest);
    await driver.remove(paths.blob(digest));
    assert.equal(await blobs.mount(app, other, digest), false);
    assert.deepEqual(await driver.list(paths.layerFolder(other, digest)), []);
  });

  test('a removed blob is gone from one repository, and its bytes stay', async () => {
    await blobs.link(app, digest);
    await blobs.link(other, digest);
    await blobs.remove(app, digest);
    assert.equal(await blobs.has(app, digest), false);
    assert.equal(await blobs.has(other, digest), true);
    await assert.rejects(blobs.remove(app, digest), unknown);
  });

  test('a removed blob can be given again', async () => {
    await blobs.link(app, digest);
    await blobs.remove(app, digest);
    await blobs.link(app, digest);
    assert.equal(await content(), 'some content');
  });

  test('a sha512 blob that the original stored under its sha256 is served', async () => {
    const long = digestOf(bytes, 'sha512');
    await driver.put(paths.layerLink(app, long), Buffer.from(digest));
    assert.equal((await blobs.get(app, long)).size, bytes.length);
    assert.equal(await content(app, long), 'some content');
    assert.equal(await blobs.mount(app, other, long), true);
    assert.equal((await readAll(driver, paths.layerLink(other, long))).toString(), digest);
    assert.equal(await content(other, long), 'some content');
  });
});
