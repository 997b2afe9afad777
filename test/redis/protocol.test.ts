import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { Redis } from 'ioredis';
import { digestOf } from '#libs/oci/digest.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import type { UploadId } from '#libs/oci/upload-id.ts';
import { connectRedis, type RedisConnection } from '#libs/redis/connection.ts';
import { paths } from '../../services/core/registry/paths.ts';
import { readAll } from '../../services/core/registry/small-files.ts';
import type { UploadKey } from '../../services/core/registry/uploads/session-access.ts';
import type { UploadService } from '../../services/core/registry/uploads/upload-service.ts';
import { createRedisSessionStore } from '../../services/core/sessions/redis/redis-sessions.ts';
import { createWake } from '../../services/core/sessions/redis/wake.ts';
import type { StorageDriver } from '../../services/core/storage/driver.ts';
import { createFilesystemDriver } from '../../services/core/storage/filesystem/filesystem.ts';
import { openRegistry } from '../support/open-registry.ts';
import { createRecordingLog } from '../support/recording-log.ts';
import { type RedisDeployment, startSingle } from '../support/redis.ts';
import { createTemporaryFolder, type TemporaryFolder } from '../support/temporary-folder.ts';

const lease = 10_000;
const repository = parseRepositoryName('team/app');

/**
 * What can happen to one upload: a writer begins a request and is held up, with its file open (`open`) or
 * after some bytes (`hold`), and wakes up (`wake`); the client, tired of waiting, sends a piece to the other
 * core (`send`) or all that is left (`finish`), or a piece to the first (`back`); the lease of whoever holds
 * it runs out (`expire`); Redis loses everything (`empty`), or goes back to what it knew at the start (`lag`).
 */
type Event = 'open' | 'hold' | 'wake' | 'send' | 'back' | 'finish' | 'expire' | 'empty' | 'lag';

const allEvents: readonly Event[] = [
  'open',
  'hold',
  'wake',
  'send',
  'back',
  'finish',
  'expire',
  'empty',
  'lag',
];

/** One upload at two cores, each with the real scripts, storage and upload service. */
class Upload {
  readonly #world: World;
  readonly #content = randomBytes(200);
  readonly #digest = digestOf(this.#content);
  readonly #key: UploadKey;
  readonly #cores: readonly [UploadService, UploadService];
  #held: { wake: () => void; done: Promise<void> } | undefined;
  /** Bytes that a client was told are there. */
  #acknowledged = 0;
  #finished = false;
  #lagged = false;

  private constructor(
    world: World,
    cores: readonly [UploadService, UploadService],
    key: UploadKey,
  ) {
    this.#world = world;
    this.#cores = cores;
    this.#key = key;
  }

  static async start(world: World): Promise<Upload> {
    const cores = [world.openCore(), world.openCore()] as const;
    const { id } = await cores[0].start(repository, 'alice');
    const upload = new Upload(world, cores, { repository, id, subject: 'alice' });
    await upload.#append(0, 0, 10);
    await world.remember(id);
    return upload;
  }

  async run(event: Event): Promise<void> {
    switch (event) {
      case 'open':
        await this.#hold(0);
        break;
      case 'hold':
        await this.#hold(10);
        break;
      case 'wake':
        await this.#wake();
        break;
      case 'send':
        await this.#orExcuse(() => this.#send(1));
        break;
      case 'back':
        await this.#orExcuse(() => this.#send(0));
        break;
      case 'finish':
        await this.#orExcuse(() => this.#finish());
        break;
      case 'expire':
        this.#world.time += lease + 1;
        break;
      case 'empty':
        await this.#world.empty();
        break;
      case 'lag':
        this.#lagged = true;
        await this.#world.restore(this.#key.id);
        break;
    }
  }

  /** Everybody wakes up, the client does what is left to do, and all must be well. */
  async settle(): Promise<void> {
    await this.#wake();
    for (let attempt = 1; !this.#finished; attempt += 1) {
      assert.ok(attempt < 4, 'the upload can be finished');
      await this.run('expire');
      await this.run('finish');
    }
    const { driver } = this.#world;
    assert.deepEqual(await readAll(driver, paths.blob(this.#digest)), this.#content);
    assert.ok((await driver.list(paths.uploads(repository))).every((id) => id !== this.#key.id));
  }

  /** The first core gets a request whose body stops in the middle. */
  async #hold(bytes: number): Promise<void> {
    if (this.#held !== undefined) return;
    const [core] = this.#cores;
    const reached = Promise.withResolvers<void>();
    const woken = Promise.withResolvers<void>();
    const start = (await core.status(this.#key).catch(() => ({ offset: 0 }))).offset;
    const content = this.#content;
    async function* source() {
      yield content.subarray(start, start + bytes);
      reached.resolve();
      await woken.promise;
      yield content.subarray(start + bytes, start + 20);
    }
    const done = this.#orExcuse(async () => {
      const offset = await core.append(this.#key, { source, start });
      this.#acknowledged = Math.max(this.#acknowledged, offset);
    });
    this.#held = { wake: woken.resolve, done };
    await Promise.race([reached.promise, done]);
  }

  async #wake(): Promise<void> {
    this.#held?.wake();
    await this.#held?.done;
    this.#held = undefined;
  }

  async #status(core: 0 | 1): Promise<{ offset: number }> {
    const { offset } = await this.#cores[core].status(this.#key);
    // What Redis forgot shows at the next chunk: 416 tells where the upload really is.
    assert.ok(
      this.#lagged || offset >= this.#acknowledged,
      `${offset} of ${this.#acknowledged} acknowledged`,
    );
    return { offset };
  }

  async #append(core: 0 | 1, start: number, end: number): Promise<void> {
    const source = this.#pieces(start, end);
    const offset = await this.#cores[core].append(this.#key, { source, start });
    assert.equal(offset, end);
    this.#acknowledged = Math.max(this.#acknowledged, offset);
  }

  async #send(core: 0 | 1): Promise<void> {
    const { offset } = await this.#status(core);
    await this.#atTrueOffset(offset, (start) =>
      this.#append(core, start, Math.min(start + 15, this.#content.length)),
    );
  }

  async #finish(): Promise<void> {
    const { offset } = await this.#status(1);
    await this.#atTrueOffset(offset, async (start) => {
      const end = this.#content.length;
      // The usual end of an upload brings no bytes.
      const chunk = start === end ? undefined : { source: this.#pieces(start, end), start };
      await this.#cores[1].complete(this.#key, this.#digest, chunk);
    });
    this.#finished = true;
  }

  #pieces(start: number, end: number): () => AsyncGenerator<Buffer> {
    const bytes = this.#content.subarray(start, end);
    return async function* () {
      yield bytes;
    };
  }

  /** As a client does: once more from where it is told that the upload is. */
  async #atTrueOffset(offset: number, action: (start: number) => Promise<void>): Promise<void> {
    try {
      await action(offset);
    } catch (error) {
      if (!(error instanceof RegistryError) || error.code !== 'RANGE_INVALID') throw error;
      const truth = (error.detail as { offset: number }).offset;
      assert.ok(truth >= this.#acknowledged, `${truth} of ${this.#acknowledged} acknowledged`);
      await action(truth);
    }
  }

  /** A client may be told to come back, or where the upload really is; after the end, that there is none. */
  async #orExcuse(action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      assert.ok(error instanceof RegistryError, String(error));
      const expected = ['UNAVAILABLE', 'RANGE_INVALID'];
      if (this.#finished) expected.push('BLOB_UPLOAD_UNKNOWN');
      assert.ok(expected.includes(error.code), error.code);
    }
  }
}

/** What all uploads share: storage, Redis, and the time. */
interface World {
  driver: StorageDriver;
  time: number;
  openCore(): UploadService;
  empty(): Promise<void>;
  /** Keeps what Redis knows of an upload now. */
  remember(id: UploadId): Promise<void>;
  /** Puts back what was kept, as a replica does that lagged. */
  restore(id: UploadId): Promise<void>;
}

describe('two cores and one upload, whatever happens in whatever order', () => {
  let deployment: RedisDeployment;
  let redis: RedisConnection;
  let folder: TemporaryFolder;
  let world: World;
  let closeAdmin: () => void;

  before(async () => {
    deployment = await startSingle();
    redis = await connectRedis(deployment.settings, createRecordingLog().log);
    folder = await createTemporaryFolder();
    const driver = await createFilesystemDriver(folder.path);
    const wake = createWake(redis);
    const admin = new Redis(deployment.settings.addresses[0]);
    const keyOf = (id: UploadId) => `portcullis:upload:{${id}}`;
    let kept: Buffer | null = null;
    world = {
      driver,
      async remember(id) {
        kept = await admin.dumpBuffer(keyOf(id));
      },
      async restore(id) {
        if (kept !== null) await admin.restore(keyOf(id), 0, kept, 'REPLACE');
      },
      time: 1_800_000_000_000,
      openCore() {
        const clock = () => world.time;
        // Whoever finds it held is told at once, so that nobody waits here.
        const sessions = createRedisSessionStore({ redis, wake, lease, drainPeriod: 0, clock });
        return openRegistry(driver, { sessions }).uploads;
      },
      empty: async () => void (await admin.flushall()),
    };
    closeAdmin = () => admin.disconnect();
  });

  after(async () => {
    closeAdmin?.();
    await redis?.close();
    await deployment?.remove();
    await folder?.[Symbol.asyncDispose]();
  });

  async function play(events: readonly Event[]): Promise<void> {
    const upload = await Upload.start(world);
    try {
      for (const event of events) await upload.run(event);
      await upload.settle();
    } catch (error) {
      throw new Error(`after ${events.join(', ')}: ${(error as Error).message}`, { cause: error });
    }
  }

  for (const trouble of ['empty', 'lag'] as const) {
    for (const held of ['open', 'hold'] as const) {
      test(`every order of ${held}, wake, send, finish, expire and ${trouble}`, async () => {
        let played = 0;
        for (const order of orders<Event>([held, 'wake', 'send', 'finish', 'expire', trouble])) {
          if (order.indexOf(held) > order.indexOf('wake')) continue;
          await play(order);
          played += 1;
        }
        assert.equal(played, 360);
      });
    }
  }

  test('any events in any order', async () => {
    const numRuns = process.env.CHAOS === undefined ? 200 : 5000;
    const order = fc.array(fc.constantFrom(...allEvents), { maxLength: 14 });
    await fc.assert(fc.asyncProperty(order, play), { numRuns });
  });
});

/** All permutations. */
function* orders<T>(items: readonly T[]): Generator<T[]> {
  if (items.length === 0) yield [];
  for (const [index, item] of items.entries()) {
    const others = [...items.slice(0, index), ...items.slice(index + 1)];
    for (const rest of orders(others)) yield [item, ...rest];
  }
}
