import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, describe, test } from 'node:test';
import type { Digest } from '#libs/oci/digest.ts';
import { createMemoryDriver } from '../../services/core/storage/memory.ts';
import { type Core, pushBlob, startCore } from '../support/core.ts';
import { type CountingDriver, createCountingDriver } from '../support/counting-driver.ts';
import { type Fixture, makeLayer } from '../support/images.ts';
import { createTokenServer, may, type TokenServer } from '../support/tokens.ts';

describe('a mount that names no source', () => {
  let tokens: TokenServer;
  let driver: CountingDriver;
  let core: Core;
  let layer: Fixture;

  before(async () => {
    tokens = await createTokenServer();
  });

  beforeEach(async () => {
    driver = createCountingDriver(createMemoryDriver());
    core = await startCore({
      driver,
      verifier: tokens.verifier,
      // The rules let everybody pull everything; a token grants what it says.
      pullFilter: { mayPull: async (_, names) => names.map(() => true) },
    });
    layer = makeLayer();
  });

  afterEach(async () => {
    await core.close();
  });

  async function push(repository: string, subject: string): Promise<void> {
    const headers = await tokens.bearer({ subject, access: [may(repository, 'pull', 'push')] });
    assert.equal((await pushBlob(core, repository, layer, headers)).status, 201);
  }

  /** @param sources what the token may pull besides */
  async function mount(digest: Digest, sources: string[] = [], repository = 'alice/app') {
    const access = [may(repository, 'pull', 'push'), ...sources.map((name) => may(name, 'pull'))];
    const headers = await tokens.bearer({ subject: 'alice', access });
    return await core.send('POST', `/v2/${repository}/blobs/uploads/?mount=${digest}`, { headers });
  }

  test('finds the blob where the token may pull', async () => {
    await push('public/base', 'bob');
    const answer = await mount(layer.descriptor.digest, ['alice/other', 'public/base']);
    assert.equal(answer.status, 201);
    assert.equal(answer.headers.location, `/v2/alice/app/blobs/${layer.descriptor.digest}`);
    assert.equal(answer.headers['docker-content-digest'], layer.descriptor.digest);
  });

  test('finds it nowhere else, whatever the rules let its bearer pull', async () => {
    await push('alice/secret', 'alice');
    assert.equal((await mount(layer.descriptor.digest)).status, 202);
    assert.equal((await mount(layer.descriptor.digest, ['public/base'])).status, 202);
  });

  test('finds it no more where another push alone is granted', async () => {
    await push('public/base', 'bob');
    const access = [may('alice/app', 'pull', 'push'), may('public/base', 'push')];
    const headers = await tokens.bearer({ subject: 'alice', access });
    const path = `/v2/alice/app/blobs/uploads/?mount=${layer.descriptor.digest}`;
    assert.equal((await core.send('POST', path, { headers })).status, 202);
  });

  test('finds it in the repository itself', async () => {
    await push('alice/app', 'alice');
    assert.equal((await mount(layer.descriptor.digest)).status, 201);
  });

  test('finds it no more where it was deleted', async () => {
    await push('public/base', 'bob');
    const headers = await tokens.bearer({ subject: 'bob', access: [may('public/base', 'delete')] });
    const path = `/v2/public/base/blobs/${layer.descriptor.digest}`;
    assert.equal((await core.send('DELETE', path, { headers })).status, 202);
    assert.equal((await mount(layer.descriptor.digest, ['public/base'])).status, 202);
  });

  test('what others have and what nobody has look alike: answer and storage operations', async () => {
    await push('bob/secret', 'bob');
    const observe = async (digest: Digest) => {
      driver.reset();
      const { status, headers, text } = await mount(digest);
      return {
        status,
        text,
        headers: Object.keys(headers).sort(),
        operations: driver.operations(),
      };
    };
    const secret = await observe(layer.descriptor.digest);
    const absent = await observe(makeLayer().descriptor.digest);
    assert.equal(secret.status, 202);
    assert.deepEqual(secret, absent);
  });
});
