import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';
import { Cluster, Redis } from 'ioredis';
import { connectRedis, type RedisConnection } from '#libs/redis/connection.ts';
import type { AttemptCounter } from '../../services/auth/limits/attempt-counter.ts';
import { openKnownLogins } from '../../services/auth/limits/known-logins.ts';
import { createRedisCounter } from '../../services/auth/limits/redis-counter.ts';
import { testAttemptCounter } from '../contract/attempt-counter.ts';
import { createRecordingLog } from '../support/recording-log.ts';
import { type RedisDeployment, startCluster, startSingle } from '../support/redis.ts';
import { waitFor } from '../support/wait-for.ts';

const hour = 60 * 60 * 1000;
const { log } = createRecordingLog();

for (const [kind, start] of [
  ['one Redis', startSingle],
  ['a Cluster', startCluster],
] as const) {
  describe(`limits of several token services by ${kind}`, () => {
    let redis: RedisDeployment;
    const connections: RedisConnection[] = [];

    before(async () => {
      redis = await start();
      for (let n = 0; n < 2; n += 1) connections.push(await connectRedis(redis.settings, log));
    });

    after(async () => {
      for (const connection of connections) await connection.close();
      await redis?.remove();
    });

    const connection = (index: number) => {
      const one = connections[index];
      assert.ok(one);
      return one;
    };
    let turn = 0;
    const counters: AttemptCounter[] = [];
    testAttemptCounter(`two that share ${kind}`, () => {
      turn = 1 - turn;
      counters[turn] ??= createRedisCounter(connection(turn), hour);
      return counters[turn] as AttemptCounter;
    });

    const open = (index: number, secret = 'a') =>
      openKnownLogins({
        path: undefined,
        secret: Buffer.from(secret),
        redis: connection(index),
        log,
      });

    test('a login that was right at one of them is known at the other', async () => {
      const [one, other] = [open(0), open(1)];
      assert.equal(await other.has('bob', '10.0.0.1'), false);
      await one.add('bob', '10.0.0.1');
      assert.equal(await other.has('bob', '10.0.0.1'), true);
      assert.equal(await other.has('bob', '10.0.0.2'), false);
      assert.equal(await other.has('eve', '10.0.0.1'), false);
      assert.equal(await open(1, 'b').has('bob', '10.0.0.1'), false, 'by its secret only');
    });

    test('keys of another type are counted and known anew', async () => {
      const [one] = redis.settings.addresses;
      const admin = kind === 'a Cluster' ? new Cluster([one]) : new Redis({ ...one });
      try {
        // It knows all servers then.
        await once(admin, 'ready');
        const counter = createRedisCounter(connection(0), hour);
        const budget = { key: 'other type', most: 2 };
        const reserve = async () => (await counter.reserve('other type', [budget])).ok;
        const [fresh, other] = [open(0), open(1)];
        for (const spoil of [
          (name: string) => admin.set(name, 'text'),
          (name: string) => admin.lpush(name, 'entry'),
        ]) {
          assert.deepEqual(
            [await reserve(), await reserve(), await reserve()],
            [true, true, false],
          );
          await fresh.add(String(spoil), '10.0.0.1');
          const nodes = admin instanceof Cluster ? admin.nodes('master') : [admin];
          const names = (await Promise.all(nodes.map((node) => node.keys('portcullis:*')))).flat();
          const ours = names.filter((name) => /:(?:attempts|known):/.test(name));
          assert.ok(ours.length > 1);
          for (const name of ours) {
            await admin.del(name);
            await spoil(name);
          }
          assert.equal(await reserve(), true);
          assert.equal(await other.has(String(spoil), '10.0.0.1'), false);
          for (const name of ours) await admin.del(name);
        }
      } finally {
        admin.disconnect();
      }
    });

    test('of one account so many networks are known, and no more', async () => {
      const one = open(0);
      for (let host = 0; host < 60; host += 1) await one.add('ann', `10.0.0.${host}`);
      const fresh = open(1);
      let known = 0;
      for (let host = 0; host < 60; host += 1) known += +(await fresh.has('ann', `10.0.0.${host}`));
      assert.equal(known, 50);
    });

    test('Redis learns no account and no address', async () => {
      const texts = await Promise.all(redis.servers.map((server) => server.cli('keys', '*')));
      for (const text of texts) assert.doesNotMatch(text, /bob|ann|10\.0\.0/);
    });

    test('while Redis is away each counts alone, from what it has counted itself', async () => {
      const counter = createRedisCounter(connection(0), hour);
      const before = await counter.reserve('before', [{ key: 'a', most: 1 }]);
      assert.ok(before.ok);
      await before.keep();
      await Promise.all(redis.servers.map((server) => server.kill()));
      assert.equal((await counter.reserve('before', [{ key: 'a', most: 1 }])).ok, false);
      const one = await counter.reserve('away', [{ key: 'a', most: 1 }]);
      assert.ok(one.ok);
      await one.keep();
      assert.equal((await counter.reserve('away', [{ key: 'a', most: 1 }])).ok, false);
      await waitFor('it to be away', () => !connection(0).up);
      assert.equal(await open(0).has('zoe', '10.0.0.1'), false);
    });
  });
}
