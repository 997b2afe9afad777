import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestOf } from '#libs/oci/digest.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { openRegistry } from '../../../../test/support/open-registry.ts';
import { hangingChunkOf } from '../../../../test/support/upload-chunks.ts';
import { createMemoryDriver } from '../../storage/memory.ts';

const app = parseRepositoryName('team/app');
const bytes = Buffer.alloc(9000, 7);
const digest = digestOf(bytes);

test('an upload waits for no more bytes once its request is given up, as by a stop, and keeps those that came', async () => {
  const { uploads } = openRegistry(createMemoryDriver());
  const stopping = new RegistryError('UNAVAILABLE', { message: 'this server is stopping' });
  for (const end of ['append', 'complete'] as const) {
    const { id } = await uploads.start(app, 'a');
    const key = { repository: app, id, subject: 'a' };
    const { chunk, taken } = hangingChunkOf(bytes.subarray(0, 4000));
    const giving = new AbortController();
    const requester = { id: '', signal: giving.signal };
    const answer =
      end === 'append'
        ? uploads.append(key, chunk, requester)
        : uploads.complete(key, digest, chunk, requester);
    await taken;
    giving.abort(stopping);
    await assert.rejects(answer, { code: 'request-gone', cause: stopping });
    assert.equal((await uploads.status(key)).offset, 4000);
    await uploads.cancel(key);
  }
});
