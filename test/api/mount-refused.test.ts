import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { createMemoryDriver } from '../../services/core/storage/memory.ts';
import { type Core, pushBlob, startCore } from '../support/core.ts';
import { createGatedDriver, type GatedDriver } from '../support/gated-driver.ts';
import { type Fixture, makeLayer } from '../support/images.ts';
import { rawClient } from '../support/raw-client.ts';
import { waitFor } from '../support/wait-for.ts';

describe('a mount whose client leaves', () => {
  let gate: GatedDriver;
  let core: Core;
  let blob: Fixture;

  beforeEach(async () => {
    gate = createGatedDriver(createMemoryDriver());
    core = await startCore({ driver: gate.driver });
    blob = makeLayer();
    await pushBlob(core, 'team/base', blob);
  });

  afterEach(async () => {
    await core.close();
  });

  async function mountAndLeave(body: number): Promise<void> {
    gate.close();
    const client = await rawClient(core.port);
    const { digest } = blob.descriptor;
    client.send(
      `POST /v2/team/app/blobs/uploads/?mount=${digest}&from=team/base HTTP/1.1\r\n` +
        `Host: x\r\nContent-Length: ${body}\r\n\r\n`,
    );
    await client.pour(body);
    await waitFor('it to be held up', () => gate.waiting() > 0);
    client.socket.end();
    client.socket.destroySoon();
    await waitFor('the connection to be gone', () => client.socket.destroyed);
    gate.open();
    await waitFor('its end', () => core.running() === 0);
  }

  for (const body of [0, 1024 * 1024]) {
    test(`is not carried out, behind a body of ${body} bytes`, async () => {
      await mountAndLeave(body);
      const path = `/v2/team/app/blobs/${blob.descriptor.digest}`;
      assert.equal((await core.send('HEAD', path)).status, 404);
    });
  }
});
