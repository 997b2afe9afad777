import assert from 'node:assert/strict';
import type { Received } from '../../support/core.ts';
import type { Fixture } from '../../support/images.ts';
import { anyBlob, blobs, filledBlobs, smallBlobs, smallFilledBlobs } from './data-sets.ts';
import {
  expectAbsent,
  expectPullable,
  expectStatus,
  locationOf,
  type RepositoryFixture,
  withQuery,
} from './repository-fixture.ts';
import { must, once, type Requirement, should } from './requirement.ts';

const chunks = 'Pushing a blob in chunks';

interface Chunk {
  bytes: Buffer;
  start: number;
  end: number;
}

/** Cuts a blob in three, as far as it has the bytes. */
function cut({ bytes }: Fixture): Chunk[] {
  const step = Math.max(1, Math.ceil(bytes.length / 3));
  const parts: Chunk[] = [];
  for (let start = 0; start < bytes.length; start += step) {
    const end = Math.min(start + step, bytes.length) - 1;
    parts.push({ bytes: bytes.subarray(start, end + 1), start, end });
  }
  return parts;
}

const rangeOf = ({ start, end }: Chunk) => ({ 'Content-Range': `${start}-${end}` });

const append = (fixture: RepositoryFixture, location: string, chunk: Chunk) =>
  fixture.send('PATCH', location, { body: chunk.bytes, headers: rangeOf(chunk) });

const close = (
  fixture: RepositoryFixture,
  location: string,
  { descriptor }: Fixture,
  last?: Chunk,
) =>
  fixture.send('PUT', withQuery(location, 'digest', descriptor.digest), {
    ...(last === undefined ? {} : { body: last.bytes, headers: rangeOf(last) }),
  });

/** Asserts that an answer tells where the upload is, and how far it got. */
function expectProgress(answer: Received, status: number, end: number): void {
  assert.equal(answer.status, status, answer.text);
  assert.ok(locationOf(answer));
  assert.equal(answer.headers.range, `0-${end}`);
}

/** Appends chunks, each at the Location that the answer before it gave. */
async function appendAll(
  fixture: RepositoryFixture,
  opened: string,
  parts: Chunk[],
): Promise<string> {
  let location = opened;
  for (const part of parts) {
    const answer = await append(fixture, location, part);
    expectProgress(answer, 202, part.end);
    location = locationOf(answer);
  }
  return location;
}

export const pushingChunks: readonly Requirement[] = [
  must(chunks, 'a session is opened by a POST of no bytes', once, async (fixture) => {
    const headers = { 'Content-Length': '0' };
    const answer = await fixture.send('POST', 'blobs/uploads/', { headers });
    expectStatus(answer, 202);
    assert.ok(locationOf(answer));
  }),

  should(
    chunks,
    'a session is opened for an algorithm',
    ['sha256', 'sha512'].map((name) => ({ name })),
    async (fixture, { name }) => {
      expectStatus(await fixture.send('POST', `blobs/uploads/?digest-algorithm=${name}`), 202);
    },
  ),

  should(
    chunks,
    'an algorithm that is unknown is 400',
    ['', 'md5', 'SHA256', 'sha256:'].map((name) => ({ name })),
    async (fixture, { name }) => {
      const answer = await fixture.send('POST', `blobs/uploads/?digest-algorithm=${name}`);
      expectStatus(answer, 400, 'DIGEST_INVALID');
    },
  ),

  must(
    chunks,
    'chunks are taken one after the other, each with 202, Location and Range',
    filledBlobs,
    async (fixture, blob) => {
      await appendAll(fixture, await fixture.open(blob), cut(blob));
    },
  ),

  must(
    chunks,
    'PUT without bytes ends a session, at a Location to pull from',
    filledBlobs,
    async (fixture, blob) => {
      const location = await appendAll(fixture, await fixture.open(blob), cut(blob));
      const answer = await close(fixture, location, blob);
      expectStatus(answer, 201);
      await expectPullable(fixture, answer, blob.bytes);
    },
  ),

  must(chunks, 'PUT may bring the last chunk', filledBlobs, async (fixture, blob) => {
    const parts = cut(blob);
    const last = parts.pop();
    const location = await appendAll(fixture, await fixture.open(blob), parts);
    const answer = await close(fixture, location, blob, last);
    expectStatus(answer, 201);
    await expectPullable(fixture, answer, blob.bytes);
  }),

  must(
    chunks,
    'a session of no bytes at all becomes the empty blob',
    blobs.filter(({ bytes }) => bytes.length === 0),
    async (fixture, blob) => {
      const answer = await close(fixture, await fixture.open(blob), blob);
      expectStatus(answer, 201);
      await expectPullable(fixture, answer, blob.bytes);
    },
  ),

  must(
    chunks,
    'bytes are taken without a length or a range',
    filledBlobs,
    async (fixture, blob) => {
      const location = await fixture.open(blob);
      const parts = cut(blob).map(({ bytes }) => bytes);
      const body = [...parts, Buffer.alloc(0)];
      expectProgress(await fixture.send('PATCH', location, { body }), 202, blob.bytes.length - 1);
      const answer = await close(fixture, location, blob);
      expectStatus(answer, 201);
      await expectPullable(fixture, answer, blob.bytes);
    },
  ),

  must(chunks, 'the first chunk starts at 0', smallFilledBlobs, async (fixture, blob) => {
    const location = await fixture.open(blob);
    const { length } = blob.bytes;
    const answer = await append(fixture, location, { bytes: blob.bytes, start: 1, end: length });
    expectStatus(answer, 416, 'RANGE_INVALID');
  }),

  must(
    chunks,
    'a chunk that comes twice, or too early, is 416',
    smallFilledBlobs,
    async (fixture, blob) => {
      const location = await fixture.open(blob);
      const [first, ...others] = cut(blob);
      assert.ok(first);
      expectProgress(await append(fixture, location, first), 202, first.end);
      for (const chunk of [first, ...others.slice(1)]) {
        const answer = await append(fixture, location, chunk);
        expectStatus(answer, 416, 'RANGE_INVALID');
        expectProgress(answer, 416, first.end);
      }
    },
  ),

  must(
    chunks,
    'after a 416 the session tells where it is, and goes on from there',
    filledBlobs,
    async (fixture, blob) => {
      const location = await fixture.open(blob);
      const [first, ...others] = cut(blob);
      assert.ok(first);
      await append(fixture, location, first);
      expectStatus(await append(fixture, location, first), 416, 'RANGE_INVALID');
      const status = await fixture.send('GET', location);
      expectProgress(status, 204, first.end);
      const end = await appendAll(fixture, locationOf(status), others);
      const answer = await close(fixture, end, blob);
      expectStatus(answer, 201);
      await expectPullable(fixture, answer, blob.bytes);
    },
  ),

  must(
    chunks,
    'a last chunk out of order is 416, and nothing is stored',
    smallFilledBlobs,
    async (fixture, blob) => {
      const location = await fixture.open(blob);
      const [first] = cut(blob);
      assert.ok(first);
      await append(fixture, location, first);
      expectStatus(await close(fixture, location, blob, first), 416, 'RANGE_INVALID');
      await expectAbsent(fixture, `blobs/${blob.descriptor.digest}`);
      expectProgress(await fixture.send('GET', location), 204, first.end);
    },
  ),

  must(
    chunks,
    'a Content-Range that is not <start>-<end> is refused',
    ['0', '-1', '0-', 'a-b', '9-0', '0 - 9', '0-9,10-19', '0x0-0x9'].map((name) => ({ name })),
    async (fixture, { name }) => {
      const location = await fixture.open();
      const headers = { 'Content-Range': name };
      const answer = await fixture.send('PATCH', location, { body: Buffer.alloc(10), headers });
      expectStatus(answer, 400, 'BLOB_UPLOAD_INVALID');
      expectProgress(await fixture.send('GET', location), 204, 0);
    },
  ),

  must(
    chunks,
    'a Content-Range that is not as long as the chunk is refused',
    ['0-8', '0-10', '0-0'].map((name) => ({ name })),
    async (fixture, { name }) => {
      const location = await fixture.open();
      const headers = { 'Content-Range': name };
      const answer = await fixture.send('PATCH', location, { body: Buffer.alloc(10), headers });
      expectStatus(answer, 400, 'SIZE_INVALID');
    },
  ),

  must(
    chunks,
    'the status of a session is 204 with Location and Range',
    smallFilledBlobs,
    async (fixture, blob) => {
      let location = await fixture.open(blob);
      assert.equal((await fixture.send('GET', location)).status, 204);
      for (const part of cut(blob)) {
        await append(fixture, location, part);
        const status = await fixture.send('GET', location);
        expectProgress(status, 204, part.end);
        assert.equal(status.body.length, 0);
        location = locationOf(status);
      }
    },
  ),

  must(chunks, 'the closing PUT names the digest', once, async (fixture) => {
    const location = await appendAll(fixture, await fixture.open(), cut(anyBlob));
    expectStatus(await fixture.send('PUT', location), 400, 'DIGEST_INVALID');
    await expectAbsent(fixture, `blobs/${anyBlob.descriptor.digest}`);
  }),

  must(
    chunks,
    'chunks that do not make up the digest are refused, and nothing is stored',
    smallFilledBlobs,
    async (fixture, blob) => {
      const parts = cut(blob);
      const [first] = parts;
      assert.ok(first);
      first.bytes = Buffer.from(first.bytes.map((byte) => byte ^ 1));
      const location = await appendAll(fixture, await fixture.open(blob), parts);
      expectStatus(await close(fixture, location, blob), 400, 'DIGEST_INVALID');
      await expectAbsent(fixture, `blobs/${blob.descriptor.digest}`);
    },
  ),

  must(chunks, 'a session that was closed is gone', smallBlobs, async (fixture, blob) => {
    const location = await fixture.open(blob);
    expectStatus(await fixture.send('PATCH', location, { body: blob.bytes }), 202);
    expectStatus(await close(fixture, location, blob), 201);
    expectStatus(await fixture.send('GET', location), 404, 'BLOB_UPLOAD_UNKNOWN');
    expectStatus(
      await fixture.send('PATCH', location, { body: blob.bytes }),
      404,
      'BLOB_UPLOAD_UNKNOWN',
    );
    // A client that lost the answer learns how it ended.
    expectStatus(await close(fixture, location, blob), 201);
  }),
];
