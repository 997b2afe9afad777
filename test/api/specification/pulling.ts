import assert from 'node:assert/strict';
import { type Digest, digestOf, digestParts } from '#libs/oci/digest.ts';
import type { Received } from '../../support/core.ts';
import { anyBlob, anyImage, blobs, filledBlobs, objects } from './data-sets.ts';
import { expectAbsent, expectStatus } from './repository-fixture.ts';
import { must, once, type Requirement, should } from './requirement.ts';

const manifest = 'Pulling manifests';
const blob = 'Pulling blobs';
const exists = 'Checking if content exists in the registry';

const absent = digestOf(Buffer.from('nobody pushed this'));
const absentLong = digestOf(Buffer.from('nobody pushed this'), 'sha512');

const [big] = blobs.filter(({ bytes }) => bytes.length > 1_000_000);
const longest = 'a'.repeat(128);

/** The digest an answer names is the one of its body, whatever the algorithm. */
function expectTrueDigest({ headers, body }: Received): void {
  const told = headers['docker-content-digest'] as Digest;
  assert.equal(told, digestOf(body, digestParts(told).algorithm));
}

export const pulling: readonly Requirement[] = [
  must(
    manifest,
    'a manifest is pulled by its digest, byte for byte',
    objects,
    async ({ holding }, object) => {
      const fixture = await holding(object);
      const answer = await fixture.send('GET', `manifests/${object.root.descriptor.digest}`);
      expectStatus(answer, 200);
      assert.ok(answer.body.equals(object.root.bytes));
    },
  ),

  must(
    manifest,
    'a manifest is pulled by its tag, byte for byte',
    objects,
    async ({ holding }, object) => {
      const fixture = await holding(object);
      const answer = await fixture.send('GET', 'manifests/v1');
      expectStatus(answer, 200);
      assert.ok(answer.body.equals(object.root.bytes));
    },
  ),

  must(
    manifest,
    'Docker-Content-Digest is the digest that was asked for',
    objects,
    async ({ holding }, object) => {
      const fixture = await holding(object);
      const { digest } = object.root.descriptor;
      const { headers } = await fixture.send('GET', `manifests/${digest}`);
      assert.equal(headers['docker-content-digest'], digest);
    },
  ),

  must(
    manifest,
    'Docker-Content-Digest of a tag is the digest of the body',
    objects,
    async ({ holding }, object) => {
      const fixture = await holding(object);
      expectTrueDigest(await fixture.send('GET', 'manifests/v1'));
    },
  ),

  should(
    manifest,
    'Content-Type is the one it was pushed under, without parameters',
    objects,
    async ({ holding }, object) => {
      const fixture = await holding(object);
      const { headers } = await fixture.send('GET', `manifests/${object.root.descriptor.digest}`);
      assert.equal(headers['content-type'], object.root.descriptor.mediaType);
    },
  ),

  must(
    manifest,
    'what the repository does not have is 404',
    ['never-pushed', longest, absent, absentLong].map((name) => ({ name })),
    async ({ holding }, { name }) => {
      const fixture = await holding(anyImage);
      expectStatus(await fixture.send('GET', `manifests/${name}`), 404, 'MANIFEST_UNKNOWN');
    },
  ),

  must(manifest, 'a manifest of another repository is 404', once, async (fixture) => {
    await fixture.push(anyImage, 'v1');
    const elsewhere = `/v2/${fixture.name}/elsewhere/manifests`;
    await expectAbsent(
      fixture,
      `${elsewhere}/v1`,
      `${elsewhere}/${anyImage.root.descriptor.digest}`,
    );
  }),

  must(
    manifest,
    'a name of the grammar is a repository',
    ['a', '0', 'a-b', 'a--b', 'a_b', 'a__b', 'a.b', 'a/b/c/d', 'a.b/c_d/e--f'].map((name) => ({
      name,
    })),
    async (fixture, { name }) => {
      const path = `/v2/${fixture.name}/${name}`;
      const upload = `${path}/blobs/uploads/?digest=${anyBlob.descriptor.digest}`;
      expectStatus(await fixture.send('POST', upload, { body: anyBlob.bytes }), 201);
      const answer = await fixture.send('GET', `${path}/blobs/${anyBlob.descriptor.digest}`);
      expectStatus(answer, 200);
    },
  ),

  must(
    manifest,
    'a name against the grammar is none',
    ['A', 'a..b', 'a___b', '-a', 'a-', 'a//b', 'a/-b', 'a_-b', '%C3%A4', 'a%2Fb'].map((name) => ({
      name,
    })),
    async (fixture, { name }) => {
      const path = `/v2/${fixture.name}/${name}/manifests/v1`;
      expectStatus(await fixture.send('GET', path), 400, 'NAME_INVALID');
      expectStatus(await fixture.send('PUT', path, { body: '{}' }), 400, 'NAME_INVALID');
    },
  ),

  must(
    manifest,
    'a tag of the grammar is a tag',
    ['a', 'Z', '9', '_', '_.-', 'v1.2.3-rc.1_build', longest].map((name) => ({ name })),
    async (fixture, { name }) => {
      await fixture.push(anyImage, name);
      expectStatus(await fixture.send('GET', `manifests/${name}`), 200);
    },
  ),

  must(
    manifest,
    'a tag against the grammar is none',
    ['.a', '-a', `${longest}a`, 'a+b', 'a%20b', '%C3%A4', 'a%2Fb'].map((name) => ({ name })),
    async (fixture, { name }) => {
      await fixture.push(anyImage);
      const body = anyImage.root.bytes;
      const headers = { 'Content-Type': anyImage.root.descriptor.mediaType };
      const answer = await fixture.send('PUT', `manifests/${name}`, { body, headers });
      expectStatus(answer, 400, 'TAG_INVALID');
      await expectAbsent(fixture, `manifests/${name}`);
    },
  ),

  must(blob, 'a blob is pulled by its digest', blobs, async ({ holding }, one) => {
    const fixture = await holding(one);
    const answer = await fixture.send('GET', `blobs/${one.descriptor.digest}`);
    expectStatus(answer, 200);
    assert.ok(answer.body.equals(one.bytes));
    assert.equal(answer.headers['content-length'], String(one.bytes.length));
  }),

  must(blob, 'Docker-Content-Digest is the digest of the body', blobs, async ({ holding }, one) => {
    const fixture = await holding(one);
    const answer = await fixture.send('GET', `blobs/${one.descriptor.digest}`);
    assert.equal(answer.headers['docker-content-digest'], one.descriptor.digest);
    expectTrueDigest(answer);
  }),

  must(
    blob,
    'what the repository does not have is 404',
    [absent, absentLong].map((name) => ({ name })),
    async ({ holding }, { name }) => {
      const fixture = await holding(anyBlob);
      expectStatus(await fixture.send('GET', `blobs/${name}`), 404, 'BLOB_UNKNOWN');
    },
  ),

  must(blob, 'a blob of another repository is 404', blobs, async ({ holding }, one) => {
    const fixture = await holding(one);
    await expectAbsent(fixture, `/v2/${fixture.name}/elsewhere/blobs/${one.descriptor.digest}`);
  }),

  should(
    blob,
    'a Range is answered with 206 and these bytes',
    filledBlobs,
    async ({ holding }, one) => {
      const fixture = await holding(one);
      const size = one.bytes.length;
      const middle = Math.floor(size / 2);
      for (const [range, start, end] of [
        ['0-0', 0, 0],
        [`0-${size - 1}`, 0, size - 1],
        [`${middle}-`, middle, size - 1],
        [`${middle}-${size + 99}`, middle, size - 1],
        ['-1', size - 1, size - 1],
        [`-${size + 99}`, 0, size - 1],
      ] as const) {
        const headers = { Range: `bytes=${range}` };
        const answer = await fixture.send('GET', `blobs/${one.descriptor.digest}`, { headers });
        expectStatus(answer, 206);
        assert.equal(answer.headers['content-range'], `bytes ${start}-${end}/${size}`);
        assert.equal(answer.headers['content-length'], String(end - start + 1));
        assert.ok(answer.body.equals(one.bytes.subarray(start, end + 1)), range);
      }
    },
  ),

  should(blob, 'a Range beyond the end is 416 with the size', blobs, async ({ holding }, one) => {
    const fixture = await holding(one);
    const size = one.bytes.length;
    for (const range of [`${size}-`, `${size + 5}-${size + 9}`, '-0']) {
      const headers = { Range: `bytes=${range}` };
      const answer = await fixture.send('GET', `blobs/${one.descriptor.digest}`, { headers });
      assert.equal(answer.status, 416, range);
      assert.equal(answer.headers['content-range'], `bytes */${size}`);
    }
  }),

  should(
    blob,
    'a Range that cannot be read is as good as none',
    [anyBlob],
    async ({ holding }, one) => {
      const fixture = await holding(one);
      for (const range of ['bytes=', 'bytes=-', 'bytes=a-b', 'lines=0-1', '0-1']) {
        const headers = { Range: range };
        const answer = await fixture.send('GET', `blobs/${one.descriptor.digest}`, { headers });
        expectStatus(answer, 200);
        assert.equal(answer.body.length, one.bytes.length, range);
      }
    },
  ),

  should(
    blob,
    'a pull that broke off goes on where it was',
    big ? [big] : [],
    async ({ holding }, one) => {
      const fixture = await holding(one);
      const parts: Buffer[] = [];
      for (let have = 0; have < one.bytes.length; ) {
        const headers = { Range: `bytes=${have}-${have + 2_000_000}` };
        const answer = await fixture.send('GET', `blobs/${one.descriptor.digest}`, { headers });
        expectStatus(answer, 206);
        parts.push(answer.body);
        have += answer.body.length;
      }
      assert.ok(Buffer.concat(parts).equals(one.bytes));
    },
  ),

  must(exists, 'HEAD of a blob tells its size and digest', blobs, async ({ holding }, one) => {
    const fixture = await holding(one);
    const answer = await fixture.send('HEAD', `blobs/${one.descriptor.digest}`);
    expectStatus(answer, 200);
    assert.equal(answer.headers['content-length'], String(one.bytes.length));
    assert.equal(answer.headers['docker-content-digest'], one.descriptor.digest);
    assert.equal(answer.body.length, 0);
  }),

  must(
    exists,
    'HEAD of a manifest tells its size and digest',
    objects,
    async ({ holding }, object) => {
      const fixture = await holding(object);
      const { digest, size } = object.root.descriptor;
      const answer = await fixture.send('HEAD', `manifests/${digest}`);
      expectStatus(answer, 200);
      assert.equal(answer.headers['content-length'], String(size));
      assert.equal(answer.headers['docker-content-digest'], digest);
      assert.equal(answer.body.length, 0);
    },
  ),

  should(exists, 'HEAD has the headers of GET (RFC 9110)', objects, async ({ holding }, object) => {
    const fixture = await holding(object);
    const [first] = object.blobs;
    const paths = ['manifests/v1', ...(first ? [`blobs/${first.descriptor.digest}`] : [])];
    for (const path of paths) {
      const [get, head] = [await fixture.send('GET', path), await fixture.send('HEAD', path)];
      assert.equal(head.status, get.status);
      assert.deepEqual({ ...head.headers, date: '' }, { ...get.headers, date: '' });
    }
  }),

  must(
    exists,
    'HEAD of what the repository does not have is 404',
    ['manifests/absent', `manifests/${absent}`, `blobs/${absent}`, `blobs/${absentLong}`].map(
      (name) => ({ name }),
    ),
    async ({ holding }, { name }) => {
      const fixture = await holding(anyImage);
      const answer = await fixture.send('HEAD', name);
      assert.deepEqual([answer.status, answer.body.length], [404, 0]);
    },
  ),
];
