import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { digestOf } from '#libs/oci/digest.ts';
import type { Received } from '../../support/core.ts';
import type { Fixture } from '../../support/images.ts';
import { anyBlob, blobs, smallBlobs } from './data-sets.ts';
import {
  expectAbsent,
  expectPullable,
  expectStatus,
  locationOf,
  type RepositoryFixture,
  withQuery,
} from './repository-fixture.ts';
import { may, must, once, type Requirement, should } from './requirement.ts';

const general = 'Pushing blobs';
const twoSteps = 'POST then PUT';
const oneStep = 'Single POST';
const cancel = 'Cancel a blob upload';
const mount = 'Mounting a blob from another repository';

const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/;
const wrong = digestOf(Buffer.from('something else'));

const badDigests = [
  '',
  'sha256',
  'sha256:',
  'sha256:abc',
  `sha256:${'g'.repeat(64)}`,
  `sha256:${'A'.repeat(64)}`,
  `sha256:${'a'.repeat(65)}`,
  `sha512:${'a'.repeat(64)}`,
  'md5:d41d8cd98f00b204e9800998ecf8427e',
  `made-up:${'a'.repeat(64)}`,
].map((name) => ({ name }));

/** The whole of a blob in one PUT, under any digest. */
const close = (fixture: RepositoryFixture, location: string, { bytes }: Fixture, digest: string) =>
  fixture.send('PUT', withQuery(location, 'digest', digest), { body: bytes });

/** Asserts that neither the digest that was claimed nor the true one is there. */
async function expectNothing(
  fixture: RepositoryFixture,
  answer: Received,
  blob: Fixture,
): Promise<void> {
  expectStatus(answer, 400, 'DIGEST_INVALID');
  await expectAbsent(fixture, `blobs/${wrong}`, `blobs/${blob.descriptor.digest}`);
}

export const pushingBlobs: readonly Requirement[] = [
  should(
    general,
    'a digest that is none, or of an unknown kind, is 400',
    badDigests,
    async (fixture, { name }) => {
      const location = await fixture.open();
      expectStatus(await close(fixture, location, anyBlob, name), 400, 'DIGEST_INVALID');
      const single = withQuery('blobs/uploads/', 'digest', name);
      expectStatus(
        await fixture.send('POST', single, { body: anyBlob.bytes }),
        400,
        'DIGEST_INVALID',
      );
      await expectAbsent(fixture, `blobs/${anyBlob.descriptor.digest}`);
    },
  ),

  must(
    twoSteps,
    'a session is opened with 202 and a Location that holds a UUID',
    once,
    async (fixture) => {
      const answer = await fixture.send('POST', 'blobs/uploads/');
      expectStatus(answer, 202);
      assert.match(locationOf(answer), uuid);
    },
  ),

  must(twoSteps, 'each session has an id of its own', once, async (fixture) => {
    const locations = [await fixture.open(), await fixture.open(), await fixture.open()];
    assert.equal(new Set(locations).size, 3);
  }),

  must(
    twoSteps,
    'PUT of the bytes is 201, at a Location to pull from',
    blobs,
    async (fixture, blob) => {
      const location = await fixture.open(blob);
      const answer = await close(fixture, location, blob, blob.descriptor.digest);
      expectStatus(answer, 201);
      await expectPullable(fixture, answer, blob.bytes);
    },
  ),

  must(
    twoSteps,
    'the digest need not be of the kind the session was opened for',
    smallBlobs,
    async (fixture, blob) => {
      const { digest } = blob.descriptor;
      const opened = await fixture.send('POST', 'blobs/uploads/?digest-algorithm=sha512');
      expectStatus(await close(fixture, locationOf(opened), blob, digest), 201);
      expectStatus(await close(fixture, await fixture.open(), blob, digest), 201);
      expectStatus(await fixture.send('GET', `blobs/${digest}`), 200);
    },
  ),

  must(
    twoSteps,
    'bytes of another digest are refused, and nothing is stored',
    blobs,
    async (fixture, blob) => {
      const location = await fixture.open(blob);
      await expectNothing(fixture, await close(fixture, location, blob, wrong), blob);
    },
  ),

  must(
    twoSteps,
    'a blob that is there already may be pushed again',
    smallBlobs,
    async (fixture, blob) => {
      await fixture.pushBlob(blob);
      const answer = await close(fixture, await fixture.open(blob), blob, blob.descriptor.digest);
      expectStatus(answer, 201);
      await expectPullable(fixture, answer, blob.bytes);
    },
  ),

  may(
    oneStep,
    'POST of the bytes is 201, at a Location to pull from',
    blobs,
    async (fixture, blob) => {
      const answer = await fixture.pushBlob(blob);
      await expectPullable(fixture, answer, blob.bytes);
    },
  ),

  must(
    oneStep,
    'bytes of another digest are refused, and nothing is stored',
    blobs,
    async (fixture, blob) => {
      const path = withQuery('blobs/uploads/', 'digest', wrong);
      await expectNothing(fixture, await fixture.send('POST', path, { body: blob.bytes }), blob);
    },
  ),

  should(cancel, 'DELETE of a session is 204', once, async (fixture) => {
    const location = await fixture.open();
    expectStatus(await fixture.send('DELETE', location), 204);
  }),

  should(
    cancel,
    'a session that was cancelled is gone, and its bytes are no blob',
    smallBlobs,
    async (fixture, blob) => {
      const location = await fixture.open(blob);
      expectStatus(await fixture.send('PATCH', location, { body: blob.bytes }), 202);
      expectStatus(await fixture.send('DELETE', location), 204);
      for (const method of ['GET', 'PATCH', 'DELETE']) {
        expectStatus(await fixture.send(method, location), 404, 'BLOB_UPLOAD_UNKNOWN');
      }
      const closed = await close(fixture, location, blob, blob.descriptor.digest);
      expectStatus(closed, 404, 'BLOB_UPLOAD_UNKNOWN');
      await expectAbsent(fixture, `blobs/${blob.descriptor.digest}`);
    },
  ),

  must(
    'Endpoints',
    'a session that never was, or of another repository, is 404',
    ['GET', 'PATCH', 'PUT', 'DELETE'].map((name) => ({ name })),
    async (fixture, { name: method }) => {
      const location = await fixture.open();
      const elsewhere = location.replace('/blobs/uploads/', '/elsewhere/blobs/uploads/');
      for (const path of [elsewhere, location.replace(uuid, randomUUID())]) {
        const answer = await fixture.send(method, withQuery(path, 'digest', wrong));
        expectStatus(answer, 404, 'BLOB_UPLOAD_UNKNOWN');
      }
      expectStatus(await fixture.send('GET', location), 204);
    },
  ),

  must(mount, 'a mount is 201, at a Location to pull from', blobs, async (fixture, blob) => {
    await fixture.pushBlob(blob);
    const target = `/v2/${fixture.name}/target/blobs`;
    const query = `?mount=${blob.descriptor.digest}&from=${fixture.name}`;
    const answer = await fixture.send('POST', `${target}/uploads/${query}`);
    expectStatus(answer, 201);
    assert.equal(locationOf(answer), `${target}/${blob.descriptor.digest}`);
    assert.equal(answer.headers['docker-content-digest'], blob.descriptor.digest);
    await expectPullable(fixture, answer, blob.bytes);
  }),

  must(
    mount,
    'what was mounted stays when its source is deleted',
    smallBlobs,
    async (fixture, blob) => {
      const path = `blobs/${blob.descriptor.digest}`;
      await fixture.pushBlob(blob);
      const query = `?mount=${blob.descriptor.digest}&from=${fixture.name}`;
      await fixture.send('POST', `/v2/${fixture.name}/target/blobs/uploads/${query}`);
      expectStatus(await fixture.send('DELETE', path), 202);
      const kept = await fixture.send('GET', `/v2/${fixture.name}/target/${path}`);
      expectStatus(kept, 200);
      assert.ok(kept.body.equals(blob.bytes));
    },
  ),

  should(
    mount,
    'a mount of what the source lacks is 202, and the upload goes on',
    smallBlobs,
    async (fixture, blob) => {
      const { digest } = blob.descriptor;
      const query = `?mount=${digest}&from=${fixture.name}/empty`;
      const answer = await fixture.send('POST', `blobs/uploads/${query}`);
      expectStatus(answer, 202);
      const closed = await close(fixture, locationOf(answer), blob, digest);
      expectStatus(closed, 201);
      await expectPullable(fixture, closed, blob.bytes);
    },
  ),
];
