import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Redis } from 'ioredis';
import { digestOf } from '#libs/oci/digest.ts';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { connectRedis } from '#libs/redis/connection.ts';
import type { Registry } from '../../services/core/registry/registry.ts';
import { createRedisLocks } from '../../services/core/sessions/redis/redis-locks.ts';
import { createRedisSessionStore } from '../../services/core/sessions/redis/redis-sessions.ts';
import { createWake } from '../../services/core/sessions/redis/wake.ts';
import { createMemoryDriver } from '../../services/core/storage/memory.ts';
import { openRegistry } from '../support/open-registry.ts';
import { createRecordingLog } from '../support/recording-log.ts';
import { type RedisDeployment, startSingle } from '../support/redis.ts';
import { chunkOf } from '../support/upload-chunks.ts';

const [hers, his] = ['alice/app', 'bob/secret'].map(parseRepositoryName) as [never, never];
const secret = Buffer.from('what bob has not finished');

describe('whoever can write to Redis', () => {
  let deployment: RedisDeployment;
  let admin: Redis;
  let close: () => Promise<void>;
  let registry: Registry;

  before(async () => {
    deployment = await startSingle();
    const redis = await connectRedis(deployment.settings, createRecordingLog().log);
    admin = new Redis({ ...deployment.settings.addresses[0] });
    const wake = createWake(redis);
    const locks = createRedisLocks({ redis, wake });
    const sessions = createRedisSessionStore({ redis, wake, lease: 500, drainPeriod: 600 });
    registry = openRegistry(createMemoryDriver(), { sessions, locks });
    close = async () => {
      await locks.close();
      await redis.close();
    };
  });

  after(async () => {
    await close?.();
    admin?.disconnect();
    await deployment?.remove();
  });

  async function begin() {
    const { uploads } = registry;
    const [own, theirs] = [await uploads.start(hers, 'alice'), await uploads.start(his, 'bob')];
    const key = { repository: hers, id: own.id, subject: 'alice' };
    const bobs = { repository: his, id: theirs.id, subject: 'bob' };
    await uploads.append(bobs, chunkOf(secret));
    const about = async (change: (about: Record<string, unknown>) => unknown) => {
      const name = `portcullis:upload:{${own.id}}`;
      const text = (await admin.hget(name, 'about')) ?? '';
      await admin.hset(name, 'about', JSON.stringify(change(JSON.parse(text))));
    };
    return { uploads, key, bobs, about };
  }

  test('cannot make one upload another one, nor a place of the storage', async () => {
    for (const id of ['BOBS', '../../..', '../../../bob/secret/_uploads/BOBS']) {
      const { uploads, key, bobs, about } = await begin();
      await about((known) => ({ ...known, id: id.replace('BOBS', bobs.id) }));
      const bytes = Buffer.from('of alice');
      assert.equal(await uploads.append(key, chunkOf(bytes)), bytes.length);
      await uploads.complete(key, digestOf(bytes));
      assert.equal((await uploads.status(bobs)).offset, secret.length);
      await uploads.cancel(bobs);
    }
  });

  test('cannot give an upload to another account or repository', async () => {
    const { uploads, key, bobs, about } = await begin();
    await about((known) => ({ ...known, repository: his, subject: 'bob' }));
    const asBob = { repository: his, id: key.id, subject: 'bob' };
    await assert.rejects(uploads.status(asBob), { code: 'BLOB_UPLOAD_UNKNOWN' });
    assert.equal((await uploads.status(key)).offset, 0);
    await uploads.cancel(bobs);
  });

  test('cannot have anything be believed that is no session: it is built anew from the tree', async () => {
    for (const nonsense of [null, 7, { algorithm: 'none' }, { repository: '..' }]) {
      const { uploads, key, bobs, about } = await begin();
      await about((known) =>
        typeof nonsense === 'object' ? nonsense && { ...known, ...nonsense } : nonsense,
      );
      assert.equal(await uploads.append(key, chunkOf(secret)), secret.length);
      assert.equal((await uploads.status(key)).offset, secret.length);
      assert.equal((await uploads.status(bobs)).offset, secret.length);
    }
  });

  test('nor what is no hash, or has a lease that is none', async () => {
    for (const spoil of [
      (name: string) => admin.set(name, 'text'),
      (name: string) => admin.lpush(name, 'entry'),
      (name: string) => admin.hset(name, 'lease', 'abc'),
      (name: string) => admin.hset(name, 'lease', ''),
    ]) {
      const { uploads, key } = await begin();
      await uploads.append(key, chunkOf(secret));
      const name = `portcullis:upload:{${key.id}}`;
      if (!String(spoil).includes('hset')) await admin.del(name);
      await spoil(name);
      assert.equal(await uploads.append(key, chunkOf(secret)), 2 * secret.length);
    }
  });

  test('a session as an earlier version wrote it, without what came since, goes on', async () => {
    const { uploads, key } = await begin();
    await uploads.append(key, chunkOf(secret));
    await admin.hdel(`portcullis:upload:{${key.id}}`, 'proof', 'digest');
    assert.equal(await uploads.append(key, chunkOf(secret)), 2 * secret.length);
    await uploads.complete(key, digestOf(Buffer.concat([secret, secret])));
  });
});
