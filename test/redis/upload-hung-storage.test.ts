import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { createRedisSessionStore } from '../../services/core/sessions/redis/redis-sessions.ts';
import { createWake } from '../../services/core/sessions/redis/wake.ts';
import { type CoresOnRedis, startCoresOnRedis } from '../support/cores-on-redis.ts';
import { openRegistry } from '../support/open-registry.ts';
import { createSteppingDriver } from '../support/stepping-driver.ts';
import { chunkOf } from '../support/upload-chunks.ts';

const app = parseRepositoryName('team/app');
const bytes = randomBytes(9000);

describe('a core whose storage hangs', () => {
  let world: CoresOnRedis;
  before(async () => {
    world = await startCoresOnRedis();
  });
  after(async () => {
    await world?.[Symbol.asyncDispose]();
  });
  test('does not keep others from its upload for ever', async () => {
    const open = (driver = world.driver) =>
      openRegistry(driver, {
        sessions: createRedisSessionStore({
          redis: world.redis,
          wake: createWake(world.redis),
          lease: 300,
          drainPeriod: 400,
        }),
      });
    const hang = Promise.withResolvers<void>();
    let armed = false;
    const reached = Promise.withResolvers<void>();
    const sick = open(
      createSteppingDriver(world.driver, async ({ operation }) => {
        if (armed && operation === 'write') {
          reached.resolve();
          await hang.promise;
        }
      }),
    );
    const { id } = await sick.uploads.start(app, '');
    const key = { repository: app, id, subject: '' };
    armed = true;
    const first = sick.uploads.append(key, chunkOf(bytes, { locationOffset: 0 })).catch(() => {});
    await reached.promise;
    const log: string[] = [];
    for (let n = 0; n < 12; n += 1)
      log.push(
        await open()
          .uploads.append(key, chunkOf(bytes, { locationOffset: 0 }))
          .then(String, (e: { code: string }) => e.code),
      );
    hang.resolve();
    await first;
    assert.ok(log.includes('9000'));
  });
});
