import assert from 'node:assert/strict';
import { anyBlob, anyImage, objects, smallFilledBlobs } from './data-sets.ts';
import { expectStatus } from './repository-fixture.ts';
import { may, must, once, type Requirement, should } from './requirement.ts';

const mount = 'Mounting a blob from another repository';
const chunks = 'Pushing a blob in chunks';
const push = 'Pushing Manifests';
const warnings = 'Warnings';

/** Everything that refers to something. */
const sparse = objects.filter(({ blobs, parts }) => blobs.length + parts.length > 0);

/** What a registry may do beyond the rest, and how it must do it then. */
export const abilities: readonly Requirement[] = [
  may(
    mount,
    'a mount without `from` finds the blob elsewhere',
    smallFilledBlobs,
    async (fixture, blob) => {
      const { digest } = blob.descriptor;
      expectStatus(await fixture.pushBlob(blob), 201);
      const elsewhere = `/v2/elsewhere/${fixture.name}/blobs`;
      const answer = await fixture.send('POST', `${elsewhere}/uploads/?mount=${digest}`);
      expectStatus(answer, 201);
      assert.equal(answer.headers.location, `${elsewhere}/${digest}`);
      const { body } = await fixture.send('GET', `${elsewhere}/${digest}`);
      assert.deepEqual(body, blob.bytes);
    },
  ),

  must(
    mount,
    'a mount without `from` that finds nothing opens a session',
    once,
    async (fixture) => {
      const answer = await fixture.send('POST', `blobs/uploads/?mount=sha256:${'9'.repeat(64)}`);
      expectStatus(answer, 202);
      expectStatus(await fixture.send('GET', answer.headers.location ?? ''), 204);
    },
  ),

  should(
    chunks,
    'a registry that has a smallest chunk says so with OCI-Chunk-Min-Length',
    once,
    async (fixture) => {
      const plain = await fixture.send('POST', 'blobs/uploads/');
      assert.equal(plain.headers['oci-chunk-min-length'], undefined);
      const served = await fixture.servedBy({ chunkMinLength: 5_242_880 });
      const { headers } = await served.send('POST', 'blobs/uploads/');
      assert.equal(headers['oci-chunk-min-length'], '5242880');
    },
  ),

  may(
    push,
    'a registry may take a manifest whose parts are missing, byte for byte',
    sparse,
    async (fixture, object) => {
      const lenient = await fixture.servedBy({ rules: { blobs: false, children: 'none' } });
      expectStatus(await lenient.put(object), 201);
      const { body } = await lenient.send('GET', `manifests/${object.root.descriptor.digest}`);
      assert.deepEqual(body, object.root.bytes);
    },
  ),

  must(warnings, 'a warning is 299, of no agent, and without a date', once, async (fixture) => {
    const lenient = await fixture.servedBy({ rules: { blobs: false, children: 'none' } });
    const { headers } = await lenient.put(anyImage);
    assert.match(String(headers.warning), /^299 - "(?:[^"\\]|\\.)*"$/);
    expectStatus(await fixture.pushBlob(anyBlob), 201);
  }),
];
