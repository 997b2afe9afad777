import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, beforeEach, describe, test } from 'node:test';
import { digestOf } from '#libs/oci/digest.ts';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { giveUp } from '#libs/redis/give-up.ts';
import type { Registry } from '../../services/core/registry/registry.ts';
import type { UploadKey } from '../../services/core/registry/uploads/session-access.ts';
import type { Requester } from '../../services/core/sessions/locks.ts';
import { type CoresOnRedis, startCoresOnRedis } from '../support/cores-on-redis.ts';
import { startCluster, startSingle } from '../support/redis.ts';
import { chunkOf } from '../support/upload-chunks.ts';

const app = parseRepositoryName('team/app');
const content = randomBytes(9000);
const digest = digestOf(content);
const [head, tail] = [content.subarray(0, 3000), content.subarray(3000)];
/** The chunk behind the first, as it is sent each time. */
const again = () => chunkOf(tail, { locationOffset: head.length });

for (const [kind, start] of [
  ['one Redis', startSingle],
  ['a Cluster', startCluster],
] as const)
  describe(`a chunk without Content-Range that counted, and whose client was told that it did not, in ${kind}`, () => {
    let world: CoresOnRedis;
    let requests = 0;
    let cores: { name: string; registry: Registry }[];
    let key: UploadKey;
    let first: Registry;

    before(async () => {
      world = await startCoresOnRedis(start);
    });

    after(async () => {
      await world?.[Symbol.asyncDispose]();
    });

    beforeEach(() => {
      first = world.openCore();
      cores = [
        { name: 'the same core', registry: first },
        { name: 'another core', registry: world.openCore() },
      ];
    });

    async function begin(): Promise<void> {
      const { id } = await first.uploads.start(app, '');
      key = { repository: app, id, subject: '' };
      await first.uploads.append(key, chunkOf(head, { locationOffset: 0 }), by());
    }

    function by(): Requester {
      requests += 1;
      return { id: `attempt-${requests}`, signal: new AbortController().signal };
    }

    async function sendAndRefuse(send: (requester: Requester) => Promise<unknown>): Promise<void> {
      const requester = by();
      await send(requester).catch(() => {});
      await giveUp(world.redis, app, requester.id);
      await giveUp(world.redis, key.id, requester.id);
    }

    async function assertWhole(core: Registry): Promise<void> {
      await core.uploads.complete(key, digest, undefined, by());
      assert.equal((await core.blobs.get(app, digest)).size, content.length);
      await core.blobs.remove(app, digest);
    }

    test('is taken once when it is sent again', async () => {
      for (const { name, registry } of cores) {
        await begin();
        await sendAndRefuse((requester) => first.uploads.append(key, again(), requester));
        assert.equal(await registry.uploads.append(key, again(), by()), content.length, name);
        await assertWhole(registry);
      }
    });

    test('is taken once when it is sent again after it was refused twice', async () => {
      for (const { registry } of cores) {
        await begin();
        for (const core of [first, registry]) {
          await sendAndRefuse((requester) => core.uploads.append(key, again(), requester));
        }
        assert.equal(await registry.uploads.append(key, again(), by()), content.length);
        await assertWhole(registry);
      }
    });

    test('is taken once when it is sent again after Redis lost the session', async () => {
      for (const { name, registry } of cores) {
        await begin();
        await sendAndRefuse((requester) => first.uploads.append(key, again(), requester));
        await world.forget(key.id);
        assert.equal(await registry.uploads.append(key, again(), by()), content.length, name);
        await assertWhole(registry);
      }
    });

    test('goes on from where its client is told that it is', async () => {
      for (const { name, registry } of cores) {
        await begin();
        const part = chunkOf(tail.subarray(0, 2000), { locationOffset: head.length });
        await sendAndRefuse((requester) => first.uploads.append(key, part, requester));
        const { offset } = await registry.uploads.status(key);
        const rest = chunkOf(content.subarray(offset), { locationOffset: offset });
        assert.equal(await registry.uploads.append(key, rest, by()), content.length, name);
        await assertWhole(registry);
      }
    });

    test('counts when its answer came, and the next one goes on behind it', async () => {
      for (const { registry } of cores) {
        await begin();
        await first.uploads.append(
          key,
          chunkOf(tail.subarray(0, 2000), { locationOffset: 3000 }),
          by(),
        );
        await registry.uploads.append(
          key,
          chunkOf(tail.subarray(2000), { locationOffset: 5000 }),
          by(),
        );
        await assertWhole(registry);
      }
    });

    test('takes nothing away where it is refused while it comes late', async () => {
      for (const { name, registry } of cores) {
        await begin();
        await registry.uploads.append(key, again(), by());
        // Begun by a core that was held up, behind the attempt that succeeded; refused when all of it had come.
        const requester = by();
        const late = {
          ...again(),
          async *source() {
            yield tail;
            await giveUp(world.redis, key.id, requester.id);
          },
        };
        await assert.rejects(first.uploads.append(key, late, requester), { code: 'request-gone' });
        assert.equal((await registry.uploads.status(key)).offset, content.length, name);
        await assertWhole(registry);
      }
    });

    test('completes the upload when it comes again with the end of it', async () => {
      for (const { registry } of cores) {
        await begin();
        // Counted, and then the core is gone before it compares.
        await sendAndRefuse((requester) => first.uploads.append(key, again(), requester));
        await registry.uploads.complete(key, digest, again(), by());
        assert.equal((await registry.blobs.get(app, digest)).size, content.length);
        await registry.blobs.remove(app, digest);
      }
    });
  });
