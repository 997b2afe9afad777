import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { digestOf } from '#libs/oci/digest.ts';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import type { Registry } from '../../services/core/registry/registry.ts';
import type { UploadKey } from '../../services/core/registry/uploads/session-access.ts';
import { type CoresOnRedis, startCoresOnRedis } from '../support/cores-on-redis.ts';
import { createSteppingDriver } from '../support/stepping-driver.ts';
import { chunkOf } from '../support/upload-chunks.ts';

const app = parseRepositoryName('team/app');
const content = randomBytes(9000);
const digest = digestOf(content);

describe('a request that lost the lock of its upload, and goes on all the same', () => {
  let world: CoresOnRedis;

  before(async () => {
    world = await startCoresOnRedis();
  });

  after(async () => {
    await world?.[Symbol.asyncDispose]();
  });

  async function begin(core: Registry): Promise<UploadKey> {
    const { id } = await core.uploads.start(app, '');
    return { repository: app, id, subject: '' };
  }

  const outcome = (request: Promise<number>) =>
    request.then(String, ({ code }: { code: string }) => code);

  test('before it opened a file shares none with the next one of its core', async () => {
    const gates: (() => void)[] = [];
    let held = false;
    let reached = Promise.withResolvers<void>();
    const core = world.openCore(
      createSteppingDriver(world.driver, async ({ operation, path }) => {
        if (!held || !/list|stat/.test(operation) || !path.includes('_uploads/')) return;
        const gate = Promise.withResolvers<void>();
        gates.push(gate.resolve);
        reached.resolve();
        await gate.promise;
      }),
    );
    const key = await begin(core);
    await core.uploads.append(key, chunkOf(content.subarray(0, 3000), { locationOffset: 0 }));
    const pieces = [content.subarray(3000, 5000), content.subarray(5000, 7000)] as const;
    const send = (source: () => AsyncGenerator<Buffer>) =>
      outcome(core.uploads.append(key, { source, locationOffset: 3000, length: 4000 }));
    const [began, wrote, wroteToo] = [0, 1, 2].map(() => Promise.withResolvers<void>()) as [
      PromiseWithResolvers<void>,
      PromiseWithResolvers<void>,
      PromiseWithResolvers<void>,
    ];

    held = true;
    const first = send(async function* () {
      await began.promise;
      yield pieces[0];
      wrote.resolve();
      await wroteToo.promise;
      yield pieces[1];
    });
    await reached.promise;
    // The core was paused, or Redis away; the client sends its chunk again.
    world.expire();
    reached = Promise.withResolvers();
    const second = send(async function* () {
      began.resolve();
      await wrote.promise;
      yield pieces[0];
      wroteToo.resolve();
      yield pieces[1];
    });
    await reached.promise;
    held = false;
    for (const open of gates) open();
    // Where one finds the file gone, the other waits for nobody.
    for (const request of [first, second]) {
      void request.then(() => [began, wrote, wroteToo].map(({ resolve }) => resolve()));
    }
    assert.ok([await first, await second].includes('UNAVAILABLE'));
    world.expire();
    const again = chunkOf([...pieces], { locationOffset: 3000 });
    assert.equal(await core.uploads.append(key, again), 7000);
    const rest = chunkOf(content.subarray(7000), { locationOffset: 7000 });
    assert.equal(await core.uploads.append(key, rest), content.length);
    await core.uploads.complete(key, digest);
    await core.blobs.remove(app, digest);
  });

  test('before its first byte came is told to come again, not that there is no upload', async () => {
    const [one, other] = [world.openCore(), world.openCore()];
    const key = await begin(one);
    const send = (core: Registry) => {
      const [asked, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      const source = async function* () {
        asked.resolve();
        await go.promise;
        yield content;
      };
      const request = outcome(core.uploads.append(key, { source, locationOffset: 0 }));
      return { asked: asked.promise, go: go.resolve, request };
    };
    const first = send(one);
    await first.asked;
    world.expire();
    const second = send(other);
    await second.asked;
    first.go();
    assert.equal(await first.request, 'UNAVAILABLE');
    second.go();
    assert.equal(await second.request, `${content.length}`);
    await other.uploads.complete(key, digest);
  });
});
