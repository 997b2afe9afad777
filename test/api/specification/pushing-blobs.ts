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
  type Ground,
  locationOf,
  withQuery,
} from './ground.ts';
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
const close = (ground: Ground, location: string, { bytes }: Fixture, digest: string) =>
  ground.send('PUT', withQuery(location, 'digest', digest), { body: bytes });

/** Asserts that neither the digest that was claimed nor the true one is there. */
async function expectNothing(ground: Ground, answer: Received, blob: Fixture): Promise<void> {
  expectStatus(answer, 400, 'DIGEST_INVALID');
  await expectAbsent(ground, `blobs/${wrong}`, `blobs/${blob.descriptor.digest}`);
}

export const pushingBlobs: readonly Requirement[] = [
  should(
    general,
    'a digest that is none, or of an unknown kind, is 400',
    badDigests,
    async (ground, { name }) => {
      const location = await ground.open();
      expectStatus(await close(ground, location, anyBlob, name), 400, 'DIGEST_INVALID');
      const single = withQuery('blobs/uploads/', 'digest', name);
      expectStatus(
        await ground.send('POST', single, { body: anyBlob.bytes }),
        400,
        'DIGEST_INVALID',
      );
      await expectAbsent(ground, `blobs/${anyBlob.descriptor.digest}`);
    },
  ),

  must(
    twoSteps,
    'a session is opened with 202 and a Location that holds a UUID',
    once,
    async (ground) => {
      const answer = await ground.send('POST', 'blobs/uploads/');
      expectStatus(answer, 202);
      assert.match(locationOf(answer), uuid);
    },
  ),

  must(twoSteps, 'each session has an id of its own', once, async (ground) => {
    const locations = [await ground.open(), await ground.open(), await ground.open()];
    assert.equal(new Set(locations).size, 3);
  }),

  must(
    twoSteps,
    'PUT of the bytes is 201, at a Location to pull from',
    blobs,
    async (ground, blob) => {
      const location = await ground.open(blob);
      const answer = await close(ground, location, blob, blob.descriptor.digest);
      expectStatus(answer, 201);
      await expectPullable(ground, answer, blob.bytes);
    },
  ),

  must(
    twoSteps,
    'the digest need not be of the kind the session was opened for',
    smallBlobs,
    async (ground, blob) => {
      const { digest } = blob.descriptor;
      const opened = await ground.send('POST', 'blobs/uploads/?digest-algorithm=sha512');
      expectStatus(await close(ground, locationOf(opened), blob, digest), 201);
      expectStatus(await close(ground, await ground.open(), blob, digest), 201);
      expectStatus(await ground.send('GET', `blobs/${digest}`), 200);
    },
  ),

  must(
    twoSteps,
    'bytes of another digest are refused, and nothing is stored',
    blobs,
    async (ground, blob) => {
      const location = await ground.open(blob);
      await expectNothing(ground, await close(ground, location, blob, wrong), blob);
    },
  ),

  must(
    twoSteps,
    'a blob that is there already may be pushed again',
    smallBlobs,
    async (ground, blob) => {
      await ground.pushBlob(blob);
      const answer = await close(ground, await ground.open(blob), blob, blob.descriptor.digest);
      expectStatus(answer, 201);
      await expectPullable(ground, answer, blob.bytes);
    },
  ),

  may(
    oneStep,
    'POST of the bytes is 201, at a Location to pull from',
    blobs,
    async (ground, blob) => {
      const answer = await ground.pushBlob(blob);
      await expectPullable(ground, answer, blob.bytes);
    },
  ),

  must(
    oneStep,
    'bytes of another digest are refused, and nothing is stored',
    blobs,
    async (ground, blob) => {
      const path = withQuery('blobs/uploads/', 'digest', wrong);
      await expectNothing(ground, await ground.send('POST', path, { body: blob.bytes }), blob);
    },
  ),

  should(cancel, 'DELETE of a session is 204', once, async (ground) => {
    const location = await ground.open();
    expectStatus(await ground.send('DELETE', location), 204);
  }),

  should(
    cancel,
    'a session that was cancelled is gone, and its bytes are no blob',
    smallBlobs,
    async (ground, blob) => {
      const location = await ground.open(blob);
      expectStatus(await ground.send('PATCH', location, { body: blob.bytes }), 202);
      expectStatus(await ground.send('DELETE', location), 204);
      for (const method of ['GET', 'PATCH', 'DELETE']) {
        expectStatus(await ground.send(method, location), 404, 'BLOB_UPLOAD_UNKNOWN');
      }
      const closed = await close(ground, location, blob, blob.descriptor.digest);
      expectStatus(closed, 404, 'BLOB_UPLOAD_UNKNOWN');
      await expectAbsent(ground, `blobs/${blob.descriptor.digest}`);
    },
  ),

  must(
    'Endpoints',
    'a session that never was, or of another repository, is 404',
    ['GET', 'PATCH', 'PUT', 'DELETE'].map((name) => ({ name })),
    async (ground, { name: method }) => {
      const location = await ground.open();
      const elsewhere = location.replace('/blobs/uploads/', '/elsewhere/blobs/uploads/');
      for (const path of [elsewhere, location.replace(uuid, randomUUID())]) {
        const answer = await ground.send(method, withQuery(path, 'digest', wrong));
        expectStatus(answer, 404, 'BLOB_UPLOAD_UNKNOWN');
      }
      expectStatus(await ground.send('GET', location), 204);
    },
  ),

  must(mount, 'a mount is 201, at a Location to pull from', blobs, async (ground, blob) => {
    await ground.pushBlob(blob);
    const target = `/v2/${ground.name}/target/blobs`;
    const query = `?mount=${blob.descriptor.digest}&from=${ground.name}`;
    const answer = await ground.send('POST', `${target}/uploads/${query}`);
    expectStatus(answer, 201);
    assert.equal(locationOf(answer), `${target}/${blob.descriptor.digest}`);
    assert.equal(answer.headers['docker-content-digest'], blob.descriptor.digest);
    await expectPullable(ground, answer, blob.bytes);
  }),

  must(
    mount,
    'what was mounted stays when its source is deleted',
    smallBlobs,
    async (ground, blob) => {
      const path = `blobs/${blob.descriptor.digest}`;
      await ground.pushBlob(blob);
      const query = `?mount=${blob.descriptor.digest}&from=${ground.name}`;
      await ground.send('POST', `/v2/${ground.name}/target/blobs/uploads/${query}`);
      expectStatus(await ground.send('DELETE', path), 202);
      const kept = await ground.send('GET', `/v2/${ground.name}/target/${path}`);
      expectStatus(kept, 200);
      assert.ok(kept.body.equals(blob.bytes));
    },
  ),

  should(
    mount,
    'a mount of what the source lacks is 202, and the upload goes on',
    smallBlobs,
    async (ground, blob) => {
      const { digest } = blob.descriptor;
      const query = `?mount=${digest}&from=${ground.name}/empty`;
      const answer = await ground.send('POST', `blobs/uploads/${query}`);
      expectStatus(answer, 202);
      const closed = await close(ground, locationOf(answer), blob, digest);
      expectStatus(closed, 201);
      await expectPullable(ground, closed, blob.bytes);
    },
  ),
];
