import { after, before, describe } from 'node:test';
import { connectRedis, type RedisConnection } from '#libs/redis/connection.ts';
import { createRedisLocks } from '../../services/core/sessions/redis/redis-locks.ts';
import { createRedisSessionStore } from '../../services/core/sessions/redis/redis-sessions.ts';
import { createWake } from '../../services/core/sessions/redis/wake.ts';
import { locksContract } from '../contract/locks.ts';
import { sessionStoreContract } from '../contract/session-store.ts';
import { createRecordingLog } from '../support/recording-log.ts';
import {
  type RedisDeployment,
  startCluster,
  startSentinels,
  startSingle,
} from '../support/redis.ts';

const deployments: readonly [name: string, start: () => Promise<RedisDeployment>][] = [
  ['one Redis', startSingle],
  ['a Redis Cluster of three', startCluster],
  ['Redis under three Sentinels', startSentinels],
];

for (const [name, start] of deployments) {
  describe(name, () => {
    let deployment: RedisDeployment;
    let redis: RedisConnection;

    before(async () => {
      deployment = await start();
      redis = await connectRedis(deployment.settings, createRecordingLog().log);
    });

    after(async () => {
      await redis?.close();
      await deployment?.remove();
    });

    sessionStoreContract({
      name: `sessions in ${name}`,
      create: async (options) =>
        createRedisSessionStore({ redis, wake: createWake(redis), ...options }),
    });

    locksContract({
      name: `locks in ${name}`,
      create: async () => createRedisLocks({ redis, wake: createWake(redis), lease: 1000 }),
    });
  });
}
