import assert from 'node:assert/strict';
import { afterEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { digestOf } from '#libs/oci/digest.ts';
import { parseRepositoryName, parseTag } from '#libs/oci/reference.ts';
import { connectRedis, type RedisConnection } from '#libs/redis/connection.ts';
import {
  LockLostError,
  type Locks,
  RequestGoneError,
  unattended,
} from '../../services/core/sessions/locks.ts';
import { createRedisLocks } from '../../services/core/sessions/redis/redis-locks.ts';
import { createRedisSessionStore } from '../../services/core/sessions/redis/redis-sessions.ts';
import { createWake } from '../../services/core/sessions/redis/wake.ts';
import { createMemoryDriver } from '../../services/core/storage/memory.ts';
import { makeImage } from '../support/images.ts';
import { openRegistry } from '../support/open-registry.ts';
import { createRecordingLog } from '../support/recording-log.ts';
import {
  type RedisDeployment,
  startCluster,
  startRedisServer,
  startSingle,
} from '../support/redis.ts';
import { chunkOf } from '../support/upload-chunks.ts';
import { waitFor } from '../support/wait-for.ts';

/** Milliseconds; longer than what is done meanwhile takes on a busy machine. */
const lease = 2000;

describe('a Redis that may have forgotten locks', () => {
  const closing: (() => unknown)[] = [];

  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close();
  });

  async function connect({ settings }: RedisDeployment): Promise<RedisConnection> {
    const redis = await connectRedis(settings, createRecordingLog().log);
    closing.push(() => redis.close());
    return redis;
  }

  function open(redis: RedisConnection, time = lease): Locks {
    const wake = createWake(redis);
    const locks = createRedisLocks({ redis, wake, lease: time, maxWait: 5 * time });
    closing.push(() => locks.close());
    return locks;
  }

  async function single(): Promise<RedisDeployment> {
    const deployment = await startSingle();
    closing.push(() => deployment.remove());
    return deployment;
  }

  /** Milliseconds, for locks whose time the test sets. */
  let time = 1_800_000_000_000;

  function openAtOurTime(redis: RedisConnection): Locks {
    const wake = createWake(redis);
    const locks = createRedisLocks({ redis, wake, lease, clock: () => time });
    closing.push(() => locks.close());
    return locks;
  }

  /** Which of these locks are granted now. */
  async function granted(locks: Locks, keys: readonly string[]): Promise<string[]> {
    const found: string[] = [];
    for (const key of keys) {
      using held = await locks.tryExclusive(key);
      if (held !== undefined) found.push(key);
    }
    return found;
  }

  /** Begins the first epoch of a Redis, and lets the time pass in which it grants nothing. */
  async function settle(locks: Locks, keys: readonly string[]): Promise<void> {
    assert.deepEqual(await granted(locks, keys), []);
    time += lease;
    assert.deepEqual(await granted(locks, keys), keys);
  }

  test('whose clock was set back keeps a lock for no more than a lease', async () => {
    const deployment = await single();
    const locks = openAtOurTime(await connect(deployment));
    await settle(locks, ['a']);
    const hour = 3_600_000;
    time += 2 * hour;
    // As of a process that died: nobody renews it.
    await locks.exclusive('a');
    time -= hour;
    assert.deepEqual(await granted(locks, ['a']), []);
    time += lease - 1;
    assert.deepEqual(await granted(locks, ['a']), []);
    time += 1;
    assert.deepEqual(await granted(locks, ['a']), ['a']);
  });

  type Way = [what: string, forget: (deployment: RedisDeployment) => Promise<unknown>];

  /** What somebody else wrote in the place of a key of ours. */
  function overwritten(key: string, by: string, command: string[]): Way {
    const what = `whose ${key} was overwritten by ${by}`;
    return [
      what,
      async ({ servers: [server] }) => {
        await server?.cli('del', key);
        await server?.cli(...command);
      },
    ];
  }

  const ways: readonly Way[] = [
    ['that was emptied', ({ servers: [server] }) => server?.cli('flushall') as Promise<string>],
    ['that was restarted without data', ({ servers: [server] }) => server?.restart() as never],
    [
      'that was set back to what it saved',
      async ({ servers: [server] }) => {
        await server?.restart();
      },
    ],
    ...['portcullis:lock:{a}', 'portcullis:epoch'].flatMap((key) => [
      overwritten(key, 'a list', ['lpush', key, 'entry']),
      overwritten(key, 'a text', ['set', key, '{"holders":{"x":1},"queue":[]}']),
    ]),
  ];

  for (const [what, forget] of ways) {
    test(`${what} grants nothing until all leases are over, and who had one is told`, async () => {
      const deployment = await single();
      const [server] = deployment.servers;
      const locks = openAtOurTime(await connect(deployment));
      await settle(locks, ['a', 'b']);
      const held = await locks.exclusive('a');
      await held.confirm();
      if (what.includes('set back')) {
        await server?.cli('config', 'set', 'dbfilename', 'saved.rdb');
        await server?.cli('save');
        await server?.cli('config', 'rewrite');
      }
      await forget(deployment);
      await waitFor('Redis to answer', async () => {
        try {
          await held.confirm();
          return false;
        } catch (error) {
          return error instanceof LockLostError;
        }
      });
      assert.deepEqual(await granted(locks, ['a']), []);
      time += lease - 1;
      assert.deepEqual(await granted(locks, ['a', 'b']), []);
      time += 1;
      assert.deepEqual(await granted(locks, ['b', 'a']), ['b', 'a'], 'once for all of them');
    });
  }

  test('whose epoch began at no time begins a new one', async () => {
    const deployment = await single();
    const locks = openAtOurTime(await connect(deployment));
    await settle(locks, ['a']);
    await deployment.servers[0]?.cli('hset', 'portcullis:epoch', 'since', 'never');
    await settle(locks, ['a']);
  });

  test('that forgot which requests were given up grants nothing to those made before', async () => {
    const deployment = await single();
    const locks = openAtOurTime(await connect(deployment));
    await settle(locks, ['a']);
    const made = (at: number) => ({ ...unattended, id: `attempt.${at}` });
    (await locks.exclusive('a', made(time)))[Symbol.dispose]();
    const before = made(time);
    time += 5000;
    await deployment.servers[0]?.cli('flushall');
    await settle(locks, ['a']);
    await assert.rejects(locks.exclusive('a', before), RequestGoneError);
    (await locks.exclusive('a', made(time)))[Symbol.dispose]();
    (await locks.exclusive('a', { ...unattended, id: 'of an earlier version' }))[Symbol.dispose]();
  });

  test('whose replica took over grants nothing until all leases are over', async () => {
    const deployment = await single();
    const [master] = deployment.servers;
    const replica = await startRedisServer({
      lines: [`replicaof 127.0.0.1 ${master?.port ?? 0}`],
    });
    closing.push(() => replica.remove());
    const before = openAtOurTime(await connect(deployment));
    await settle(before, ['a', 'b']);
    using _held = await before.exclusive('a');
    await waitFor('the replica to know the epoch', async () =>
      (await replica.cli('exists', 'portcullis:epoch')).includes('1'),
    );
    // It lags from here on, and knows nothing of what is granted now.
    await replica.cli('replicaof', 'no', 'one');
    using _second = await before.exclusive('b');
    const settings = {
      ...deployment.settings,
      addresses: [{ host: '127.0.0.1', port: replica.port }],
    };
    const after = openAtOurTime(await connect({ ...deployment, settings: settings as never }));
    assert.deepEqual(await granted(after, ['b']), []);
    time += lease - 1;
    assert.deepEqual(await granted(after, ['b']), []);
    time += 1;
    assert.deepEqual(await granted(after, ['b']), ['b']);
  });

  test("of a Cluster grants nothing of one server's slots that was emptied", async () => {
    const deployment = await startCluster();
    closing.push(() => deployment.remove());
    const locks = openAtOurTime(await connect(deployment));
    const keys = Array.from({ length: 12 }, (_, index) => `repository-${index}`);
    await settle(locks, keys);
    await deployment.servers[0]?.cli('flushall');
    const kept = await granted(locks, keys);
    assert.ok(kept.length > 0 && kept.length < keys.length, String(kept));
    // Of all its slots, a third of them all, the time runs from now on, also of those that nobody has asked about.
    await waitFor('all to have begun', async () => {
      const begun = await deployment.servers[0]?.cli('dbsize');
      return Number(/\d+/.exec(begun ?? '')?.[0]) >= 5461;
    });
    time += lease;
    const others = keys.map((key) => `${key}-of-another-slot`);
    assert.deepEqual(await granted(locks, [...keys, ...others]), [...keys, ...others]);
  });

  for (const every of [4, 400]) {
    test(`emptied every ${every} ms leaves no tag that points to nothing`, async () => {
      const deployment = await single();
      const redis = await connect(deployment);
      const driver = createMemoryDriver();
      const registry = openRegistry(driver, { locks: open(redis, 100) });
      const other = openRegistry(driver, { locks: open(redis, 100) });
      const repository = parseRepositoryName('team/app');
      const images = [makeImage(), makeImage()];
      for (const { bytes } of images.flatMap((image) => image.blobs)) {
        const { id } = await registry.uploads.start(repository, '');
        await registry.uploads.complete(
          { repository, id, subject: '' },
          digestOf(bytes),
          chunkOf(bytes),
        );
      }
      let flushing = true;
      const flushes = (async () => {
        while (flushing) {
          await deployment.servers[0]?.cli('flushall');
          await sleep(every);
        }
      })();
      const until = performance.now() + 4000;
      let done = 0;
      const ended = Promise.allSettled(
        images.map(async (image, index) => {
          const [core, tag] = [index === 0 ? registry : other, parseTag(`t${index}`)];
          while (performance.now() < until) {
            const reference = { kind: 'tag', tag } as const;
            const { bytes } = image;
            const { mediaType, digest } = image.descriptor;
            await core.manifests.put(repository, { reference, bytes, contentType: mediaType }).then(
              () => done++,
              () => {},
            );
            await (core === registry ? other : registry).manifests
              .remove(repository, digest as never)
              .then(
                () => done++,
                () => {},
              );
          }
        }),
      );
      const looking = async () => {
        let dangling = 0;
        for (const tag of ['t0', 't1']) {
          const digest = await registry.tags.resolve(repository, parseTag(tag));
          if (
            digest !== undefined &&
            (await registry.manifests.read(repository, digest)) === undefined
          )
            dangling += 1;
        }
        return dangling;
      };
      await ended;
      flushing = false;
      await flushes;
      assert.equal(await looking(), 0, `after ${done} changes`);
      if (every > 100) assert.ok(done > 10, `${done} changes`);
    });
  }

  test('goes on with an upload that waited while it was emptied', async () => {
    const deployment = await single();
    const redis = await connect(deployment);
    const wake = createWake(redis);
    const driver = createMemoryDriver();
    const sessions = createRedisSessionStore({ redis, wake, lease: 60_000, drainPeriod: 10_000 });
    const locks = open(redis, 100);
    const [first, second] = [
      openRegistry(driver, { sessions, locks }),
      openRegistry(driver, { sessions, locks }),
    ];
    const repository = parseRepositoryName('team/app');
    const content = Buffer.from('some bytes, and some more');
    const { id } = await first.uploads.start(repository, '');
    const key = { repository, id, subject: '' };
    await first.uploads.append(key, chunkOf(content.subarray(0, 10)));
    const held = Promise.withResolvers<void>();
    const holding = first.uploads.append(key, {
      start: 10,
      async *source() {
        held.resolve();
        await sleep(1500);
        yield* [];
      },
    });
    await held.promise;
    const waiting = second.uploads.append(key, chunkOf(content.subarray(10), { start: 10 }));
    await sleep(300);
    await deployment.servers[0]?.cli('flushall');
    assert.equal(await waiting, content.length);
    await assert.rejects(holding);
    await second.uploads.complete(key, digestOf(content));
    assert.ok(await second.blobs.has(repository, digestOf(content)));
  });

  test('is asked again where its answer lay unread while the process was held up', async () => {
    const deployment = await single();
    const redis = await connect(deployment);
    let time = 0;
    let heldUp = false;
    const slow: RedisConnection = {
      ...redis,
      async run(script, keys, args) {
        const answer = await redis.run(script, keys, args);
        if (!heldUp || !script.name.endsWith('confirm')) return answer;
        heldUp = false;
        time += 3 * lease;
        await deployment.servers[0]?.cli('del', 'portcullis:lock:{a}');
        return answer;
      },
    };
    const locks = createRedisLocks({
      redis: slow,
      wake: createWake(redis),
      lease,
      clock: () => time,
    });
    closing.push(() => locks.close());
    await locks.tryExclusive('b');
    time += lease;
    const held = await locks.exclusive('a');
    await held.confirm();
    heldUp = true;
    await assert.rejects(held.confirm(), LockLostError);
  });

  test('forgets who was given up: whoever waited for a lock meanwhile is refused', async () => {
    const deployment = await single();
    const redis = await connect(deployment);
    const locks = open(redis, 100);
    const held = await locks.exclusive('thing');
    const waiting = assert.rejects(locks.exclusive('thing'), { code: 'lock-lost' });
    await sleep(50);
    await deployment.servers[0]?.cli('flushall');
    await waiting;
    held[Symbol.dispose]();
    (await locks.exclusive('thing'))[Symbol.dispose]();
  });
});
