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

/** A request body that gives its second piece when it is told to. */
function slowChunk(first: Buffer, second: Buffer, locationOffset: number) {
  const [taken, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const chunk = {
    locationOffset,
    length: first.length + second.length,
    async *source() {
      yield first;
      taken.resolve();
      await go.promise;
      yield second;
    },
  };
  return { chunk, taken: taken.promise, go: go.resolve };
}

const outcome = (request: Promise<unknown>) =>
  request.then(
    (value) => value ?? 'done',
    ({ code }: { code: string }) => code,
  );

describe('the rules of who holds an upload (docs/adr/0014)', () => {
  let world: CoresOnRedis;

  before(async () => {
    world = await startCoresOnRedis();
  });

  after(async () => {
    await world?.[Symbol.asyncDispose]();
  });

  /** A core that is held up before the step that fits, once it is armed. */
  function heldUpBefore(fits: (operation: string, path: string) => boolean) {
    const [reached, woken] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let armed = false;
    const driver = createSteppingDriver(world.driver, async ({ operation, path }) => {
      if (!armed || !fits(operation, path)) return;
      armed = false;
      reached.resolve();
      await woken.promise;
    });
    return {
      core: world.openCore(driver),
      arm() {
        armed = true;
      },
      reached: reached.promise,
      woken: woken.promise,
      wake: woken.resolve,
    };
  }

  async function begin(core: Registry, bytes = content.subarray(0, 3000)): Promise<UploadKey> {
    const { id } = await core.uploads.start(app, '');
    const key = { repository: app, id, subject: '' };
    if (bytes.length > 0) {
      await core.uploads.append(key, chunkOf(bytes, { locationOffset: 0 }));
    }
    return key;
  }

  test('bytes that a take-over may have missed are not acknowledged, and no part of them is counted', async () => {
    const first = world.openCore();
    const second = heldUpBefore(
      (operation, path) => operation === 'remove' && /open\.1$/.test(path),
    );
    const key = await begin(first);
    const slow = slowChunk(content.subarray(3000, 4000), content.subarray(4000, 5000), 3000);
    const overtaken = outcome(first.uploads.append(key, slow.chunk));
    await slow.taken;
    world.expire();
    second.arm();
    // It has copied what there was, and its file has its name; the former one is still there.
    const next = outcome(
      second.core.uploads.append(
        key,
        chunkOf(content.subarray(3000, 4000), { locationOffset: 3000 }),
      ),
    );
    await second.reached;
    slow.go();
    assert.equal(await overtaken, 'UNAVAILABLE');
    second.wake();
    assert.equal(await next, 4000);
    const rest = chunkOf(content.subarray(4000), { locationOffset: 4000 });
    assert.equal(await second.core.uploads.append(key, rest), content.length);
    await second.core.uploads.complete(key, digest);
    await second.core.blobs.remove(app, digest);
  });

  test('bytes that no take-over has seen are not acknowledged where Redis says that they may be', async () => {
    const first = world.openCore();
    const second = heldUpBefore(
      (operation, path) => operation === 'remove' && /open\.1$/.test(path),
    );
    const key = await begin(first);
    const slow = slowChunk(content.subarray(3000, 4000), content.subarray(4000, 5000), 3000);
    const kept = await world.dump(key.id);
    const overtaken = outcome(
      first.uploads.append(key, {
        ...slow.chunk,
        async *source() {
          yield* slow.chunk.source();
          // Set back to what it knew while the first core had the lock.
          await world.restore(key.id, during);
        },
      }),
    );
    await slow.taken;
    const during = await world.dump(key.id);
    assert.notDeepEqual(during, kept);
    world.expire();
    second.arm();
    const next = outcome(
      second.core.uploads.append(
        key,
        chunkOf(content.subarray(3000, 4000), { locationOffset: 3000 }),
      ),
    );
    await second.reached;
    slow.go();
    assert.equal(await overtaken, 'UNAVAILABLE');
    second.wake();
    await next;
    await world.forget(key.id);
    assert.equal((await world.openCore().uploads.status(key)).offset, 4000);
  });

  test('a blob is not linked by who lost the repository to somebody who deleted it', async () => {
    const slow = heldUpBefore(
      (operation, path) => operation === 'confirm put' && path.includes('/_layers/'),
    );
    const key = await begin(slow.core, content);
    slow.arm();
    const late = outcome(slow.core.uploads.complete(key, digest));
    await slow.reached;
    world.expire();
    const other = world.openCore();
    const again = await begin(other, content);
    await other.uploads.complete(again, digest);
    await other.blobs.remove(app, digest);
    slow.wake();
    assert.notEqual(await late, 'done');
    assert.equal(await other.blobs.has(app, digest), false);
  });

  test('GET tells no byte that a take-over under way may miss', async () => {
    const first = world.openCore();
    const second = heldUpBefore(
      (operation, path) => operation === 'rename' && /copy\.2$/.test(path),
    );
    const key = await begin(first);
    const slow = slowChunk(content.subarray(3000, 4000), content.subarray(4000, 5000), 3000);
    const overtaken = outcome(first.uploads.append(key, slow.chunk));
    await slow.taken;
    assert.equal((await first.uploads.status(key)).offset, 4000, 'who writes knows');
    assert.equal((await world.openCore().uploads.status(key)).offset, 3000, 'others do not');
    world.expire();
    second.arm();
    const next = outcome(
      second.core.uploads.append(
        key,
        chunkOf(content.subarray(3000, 4000), { locationOffset: 3000 }),
      ),
    );
    await second.reached;
    assert.equal((await first.uploads.status(key)).offset, 3000, 'nor does who wrote');
    slow.go();
    await overtaken;
    second.wake();
    assert.equal(await next, 4000);
  });

  test('GET looks again where the upload was taken over while it looked', async () => {
    const first = heldUpBefore((operation, path) => operation === 'stat' && /open\.1$/.test(path));
    const second = heldUpBefore(
      (operation, path) => operation === 'rename' && /copy\.2$/.test(path),
    );
    const key = await begin(first.core);
    const slow = slowChunk(content.subarray(3000, 4000), content.subarray(4000, 5000), 3000);
    const written = Promise.withResolvers<void>();
    const overtaken = outcome(
      first.core.uploads.append(key, {
        ...slow.chunk,
        length: 6000,
        async *source() {
          yield* slow.chunk.source();
          written.resolve();
          await second.woken;
        },
      }),
    );
    await slow.taken;
    first.arm();
    const asking = first.core.uploads.status(key);
    await first.reached;
    world.expire();
    second.arm();
    const next = outcome(
      second.core.uploads.append(
        key,
        chunkOf(content.subarray(3000, 4000), { locationOffset: 3000 }),
      ),
    );
    await second.reached;
    slow.go();
    await written.promise;
    first.wake();
    const { offset } = await asking;
    second.wake();
    assert.equal(await next, 4000);
    await overtaken;
    assert.ok(offset <= 4000, `${offset} were told, 4000 are there`);
  });

  for (const [what, fits] of [
    ['before it is taken over', (path: string) => /session(?:\.\d+)?$/.test(path)],
    ['before it is ended', (path: string) => /session\.2$/.test(path)],
  ] as const) {
    test(`an upload is not ended as empty ${what} and when a byte was acknowledged in between`, async () => {
      const writing = world.openCore();
      const cleaning = heldUpBefore((operation, path) => operation === 'rename' && fits(path));
      const key = await begin(writing, Buffer.alloc(0));
      const slow = slowChunk(Buffer.alloc(0), content, 0);
      const request = outcome(
        writing.uploads.append(key, {
          ...slow.chunk,
          async *source() {
            yield* slow.chunk.source();
            // Set back to what it knew while the writer had the lock.
            await world.restore(key.id, during);
          },
        }),
      );
      await slow.taken;
      const during = await world.dump(key.id);
      world.expire();
      cleaning.arm();
      const ended = outcome(cleaning.core.uploads.endIfEmpty(key));
      await cleaning.reached;
      slow.go();
      const acknowledged = await request;
      cleaning.wake();
      const isEnded = (await ended) === true;
      const left = await outcome(writing.uploads.status(key).then(({ offset }) => offset));
      if (acknowledged === content.length) assert.equal(left, content.length);
      else assert.ok(isEnded ? left === 'BLOB_UPLOAD_UNKNOWN' : left !== 'BLOB_UPLOAD_UNKNOWN');
    });
  }

  test('an upload is not ended as empty that somebody began to write to meanwhile', async () => {
    const cleaning = heldUpBefore(
      (operation, path) => operation === 'rename' && /session(?:\.\d+)?$/.test(path),
    );
    const key = await begin(cleaning.core, Buffer.alloc(0));
    cleaning.arm();
    const ended = outcome(cleaning.core.uploads.endIfEmpty(key));
    await cleaning.reached;
    world.expire();
    const other = world.openCore();
    const bytes = chunkOf(content, { locationOffset: 0 });
    assert.equal(await other.uploads.append(key, bytes), content.length);
    cleaning.wake();
    assert.notEqual(await ended, true);
    assert.equal((await other.uploads.status(key)).offset, content.length);
    await other.uploads.complete(key, digest);
    await other.blobs.remove(app, digest);
  });
});
