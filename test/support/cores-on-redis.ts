import { Redis } from 'ioredis';
import type { UploadId } from '#libs/oci/upload-id.ts';
import { connectRedis, type RedisConnection } from '#libs/redis/connection.ts';
import type { Registry } from '../../services/core/registry/registry.ts';
import { createRedisLocks } from '../../services/core/sessions/redis/redis-locks.ts';
import { createRedisSessionStore } from '../../services/core/sessions/redis/redis-sessions.ts';
import { createWake } from '../../services/core/sessions/redis/wake.ts';
import type { StorageDriver } from '../../services/core/storage/driver.ts';
import { createFilesystemDriver } from '../../services/core/storage/filesystem/filesystem.ts';
import { openRegistry } from './open-registry.ts';
import { createRecordingLog } from './recording-log.ts';
import { type RedisDeployment, startSingle } from './redis.ts';
import { createTemporaryFolder } from './temporary-folder.ts';

const forgetScript = { name: 'test_forget', lua: `return redis.call('DEL', KEYS[1])` };

/** Milliseconds that a lock is granted for. */
const lease = 10_000;

/** Cores in this process on one storage and a real Redis, and the time that leases go by. */
export interface CoresOnRedis extends AsyncDisposable {
  driver: StorageDriver;
  redis: RedisConnection;
  /** A core that knows nothing yet. Whoever finds a lock held is told at once. */
  openCore(driver?: StorageDriver): Registry;
  /** Lets all leases run out. */
  expire(): void;
  /** Has Redis forget an upload. */
  forget(id: UploadId): Promise<void>;
  /** Has Redis let somebody else have a lock. */
  forgetLock(key: string): Promise<void>;
  /** What Redis knows of an upload now. */
  dump(id: UploadId): Promise<Buffer>;
  /** Sets an upload back to what Redis knew of it. */
  restore(id: UploadId, dumped: Buffer): Promise<void>;
}

export async function startCoresOnRedis(
  start: () => Promise<RedisDeployment> = startSingle,
): Promise<CoresOnRedis> {
  const deployment = await start();
  const redis = await connectRedis(deployment.settings, createRecordingLog().log);
  const folder = await createTemporaryFolder();
  const driver = await createFilesystemDriver(folder.path);
  const admin = new Redis({ ...deployment.settings.addresses[0], lazyConnect: true });
  const keyOf = (id: UploadId) => `portcullis:upload:{${id}}`;
  let time = 1_800_000_000_000;
  const clock = () => time;
  const closing: (() => Promise<void>)[] = [];

  function openCore(on = driver): Registry {
    const wake = createWake(redis);
    const sessions = createRedisSessionStore({ redis, wake, lease, drainPeriod: 0, clock });
    const locks = createRedisLocks({ redis, wake, lease, clock });
    closing.push(() => locks.close());
    return openRegistry(on, { sessions, locks });
  }

  // Nothing is granted in the first moments of a Redis.
  const locks = createRedisLocks({ redis, wake: createWake(redis), lease, clock });
  await locks.tryExclusive('team/app');
  await locks.close();
  time += lease;

  return {
    driver,
    redis,
    openCore,
    expire() {
      time += lease + 1;
    },
    async forgetLock(key) {
      await redis.run(forgetScript, [`portcullis:lock:{${key}}`], []);
    },
    async forget(id) {
      await redis.run(forgetScript, [keyOf(id)], []);
    },
    async dump(id) {
      const dumped = await admin.dumpBuffer(keyOf(id));
      if (dumped === null) throw new Error(`Redis does not know ${id}`);
      return dumped;
    },
    async restore(id, dumped) {
      await admin.restore(keyOf(id), 0, dumped, 'REPLACE');
    },
    async [Symbol.asyncDispose]() {
      admin.disconnect();
      for (const close of closing) await close();
      await redis.close();
      await deployment.remove();
      await folder.remove();
    },
  };
}
