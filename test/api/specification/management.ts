import assert from 'node:assert/strict';
import { digestOf } from '#libs/oci/digest.ts';
import { anyBlob, anyImage, kinds, smallBlobs } from './data-sets.ts';
import { expectAbsent, expectStatus } from './repository-fixture.ts';
import { must, once, type Requirement } from './requirement.ts';

const tags = 'Deleting tags';
const manifests = 'Deleting Manifests';
const blob = 'Deleting Blobs';

const absent = digestOf(Buffer.from('nobody pushed this'));
const absentLong = digestOf(Buffer.from('nobody pushed this'), 'sha512');

export const management: readonly Requirement[] = [
  must(tags, 'DELETE of a tag is 202, and the tag is gone', kinds, async (fixture, object) => {
    await fixture.push(object, 'v1');
    expectStatus(await fixture.send('DELETE', 'manifests/v1'), 202);
    await expectAbsent(fixture, 'manifests/v1');
    const list = await fixture.send('GET', 'tags/list');
    assert.deepEqual(JSON.parse(list.text), { name: fixture.name, tags: [] });
  }),

  must(tags, 'the manifest and its other tags stay', kinds, async (fixture, object) => {
    const { headers } = await fixture.push(object, 'v1');
    await fixture.push(object, 'v2');
    expectStatus(await fixture.send('DELETE', 'manifests/v1'), 202);
    for (const reference of ['v2', headers['docker-content-digest']]) {
      const answer = await fixture.send('GET', `manifests/${String(reference)}`);
      expectStatus(answer, 200);
      assert.ok(answer.body.equals(object.root.bytes));
    }
  }),

  must(tags, 'a tag that was deleted may be pushed again', once, async (fixture) => {
    for (const _ of [1, 2]) {
      await fixture.push(anyImage, 'v1');
      expectStatus(await fixture.send('GET', 'manifests/v1'), 200);
      expectStatus(await fixture.send('DELETE', 'manifests/v1'), 202);
    }
  }),

  must(tags, 'a tag that is none is 404', once, async (fixture) => {
    expectStatus(await fixture.send('DELETE', 'manifests/v1'), 404, 'MANIFEST_UNKNOWN');
    await fixture.push(anyImage);
    expectStatus(await fixture.send('DELETE', 'manifests/v1'), 404, 'MANIFEST_UNKNOWN');
  }),

  must(tags, 'where deleting is disabled it is 405, and the tag stays', once, async (fixture) => {
    await fixture.push(anyImage, 'v1');
    const careful = await fixture.servedBy({ deleteEnabled: false });
    expectStatus(await careful.send('DELETE', 'manifests/v1'), 405, 'UNSUPPORTED');
    expectStatus(await careful.send('GET', 'manifests/v1'), 200);
  }),

  must(
    manifests,
    'DELETE of a manifest is 202, and the manifest is gone',
    kinds,
    async (fixture, object) => {
      await fixture.push(object);
      const path = `manifests/${object.root.descriptor.digest}`;
      expectStatus(await fixture.send('DELETE', path), 202);
      await expectAbsent(fixture, path);
      expectStatus(await fixture.send('DELETE', path), 404, 'MANIFEST_UNKNOWN');
    },
  ),

  must(
    manifests,
    'the tags that pointed at it are gone, others stay',
    kinds,
    async (fixture, object) => {
      const other = object === anyImage ? kinds[2] : anyImage;
      assert.ok(other);
      const { headers } = await fixture.push(object, 'v1');
      await fixture.push(object, 'v2');
      await fixture.push(other, 'other');
      const path = `manifests/${String(headers['docker-content-digest'])}`;
      expectStatus(await fixture.send('DELETE', path), 202);
      await expectAbsent(fixture, 'manifests/v1', 'manifests/v2', path);
      const list = await fixture.send('GET', 'tags/list');
      assert.deepEqual(JSON.parse(list.text), { name: fixture.name, tags: ['other'] });
    },
  ),

  must(
    manifests,
    'a manifest that was deleted may be pushed again',
    kinds,
    async (fixture, object) => {
      await fixture.push(object, 'v1');
      const path = `manifests/${object.root.descriptor.digest}`;
      await fixture.send('DELETE', path);
      await fixture.push(object);
      const answer = await fixture.send('GET', path);
      expectStatus(answer, 200);
      assert.ok(answer.body.equals(object.root.bytes));
    },
  ),

  must(manifests, 'the same manifest of another repository stays', once, async (fixture) => {
    const { digest } = anyImage.root.descriptor;
    await fixture.push(anyImage);
    const query = anyImage.blobs.map(
      ({ descriptor }) => `?mount=${descriptor.digest}&from=${fixture.name}`,
    );
    const elsewhere = `/v2/${fixture.name}/elsewhere`;
    for (const one of query) await fixture.send('POST', `${elsewhere}/blobs/uploads/${one}`);
    const pushed = await fixture.send('PUT', `${elsewhere}/manifests/${digest}`, {
      body: anyImage.root.bytes,
      headers: { 'Content-Type': anyImage.root.descriptor.mediaType },
    });
    expectStatus(pushed, 201);
    expectStatus(await fixture.send('DELETE', `manifests/${digest}`), 202);
    expectStatus(await fixture.send('GET', `${elsewhere}/manifests/${digest}`), 200);
  }),

  must(
    manifests,
    'what is not there is 404, in a repository or in none',
    [absent, absentLong].map((name) => ({ name })),
    async (fixture, { name }) => {
      expectStatus(await fixture.send('DELETE', `manifests/${name}`), 404, 'MANIFEST_UNKNOWN');
      await fixture.push(anyImage);
      expectStatus(await fixture.send('DELETE', `manifests/${name}`), 404, 'MANIFEST_UNKNOWN');
    },
  ),

  must(
    manifests,
    'where deleting is disabled it is 405, and the manifest stays',
    once,
    async (fixture) => {
      await fixture.push(anyImage);
      const careful = await fixture.servedBy({ deleteEnabled: false });
      const path = `manifests/${anyImage.root.descriptor.digest}`;
      expectStatus(await careful.send('DELETE', path), 405, 'UNSUPPORTED');
      expectStatus(await careful.send('GET', path), 200);
    },
  ),

  must(blob, 'DELETE of a blob is 202, and the blob is gone', smallBlobs, async (fixture, one) => {
    await fixture.pushBlob(one);
    const path = `blobs/${one.descriptor.digest}`;
    expectStatus(await fixture.send('DELETE', path), 202);
    await expectAbsent(fixture, path);
    expectStatus(await fixture.send('DELETE', path), 404, 'BLOB_UNKNOWN');
  }),

  must(blob, 'a blob that was deleted may be pushed again', smallBlobs, async (fixture, one) => {
    const path = `blobs/${one.descriptor.digest}`;
    await fixture.pushBlob(one);
    await fixture.send('DELETE', path);
    await fixture.pushBlob(one);
    const answer = await fixture.send('GET', path);
    expectStatus(answer, 200);
    assert.ok(answer.body.equals(one.bytes));
  }),

  must(blob, 'the same blob of another repository stays', smallBlobs, async (fixture, one) => {
    const path = `blobs/${one.descriptor.digest}`;
    await fixture.pushBlob(one);
    const elsewhere = `/v2/${fixture.name}/elsewhere`;
    const upload = `${elsewhere}/blobs/uploads/?digest=${one.descriptor.digest}`;
    expectStatus(await fixture.send('POST', upload, { body: one.bytes }), 201);
    expectStatus(await fixture.send('DELETE', path), 202);
    expectStatus(await fixture.send('GET', `${elsewhere}/${path}`), 200);
  }),

  must(
    blob,
    'what is not there is 404, in a repository or in none',
    [absent, absentLong].map((name) => ({ name })),
    async (fixture, { name }) => {
      expectStatus(await fixture.send('DELETE', `blobs/${name}`), 404, 'BLOB_UNKNOWN');
      await fixture.pushBlob(anyBlob);
      expectStatus(await fixture.send('DELETE', `blobs/${name}`), 404, 'BLOB_UNKNOWN');
    },
  ),

  must(blob, 'where deleting is disabled it is 405, and the blob stays', once, async (fixture) => {
    await fixture.pushBlob(anyBlob);
    const careful = await fixture.servedBy({ deleteEnabled: false });
    const path = `blobs/${anyBlob.descriptor.digest}`;
    expectStatus(await careful.send('DELETE', path), 405, 'UNSUPPORTED');
    expectStatus(await careful.send('GET', path), 200);
  }),
];
