import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Redis } from 'ioredis';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { paths } from '../../services/core/registry/paths.ts';
import { type CoresOnRedis, startCoresOnRedis } from '../support/cores-on-redis.ts';
import { createFailingDriver } from '../support/failing-driver.ts';
import { openRegistry } from '../support/open-registry.ts';
import { type RedisDeployment, startSingle } from '../support/redis.ts';
import { chunkOf } from '../support/upload-chunks.ts';

const app = parseRepositoryName('team/app');
describe('what is left of an upload that ended half way', () => {
  let world: CoresOnRedis;
  let deployment: RedisDeployment;
  before(async () => {
    world = await startCoresOnRedis(async () => (deployment = await startSingle()));
  });
  after(async () => {
    await world?.[Symbol.asyncDispose]();
  });

  for (const where of ['embedded', 'redis'] as const) {
    test(`is the purge's: ${where}`, async () => {
      const driver = createFailingDriver(world.driver);
      const { uploads } = where === 'redis' ? world.openCore(driver) : openRegistry(driver);
      const { id } = await uploads.start(app, '');
      const key = { repository: app, id, subject: '' };
      await uploads.append(key, chunkOf(Buffer.alloc(5000)));
      driver.failOn('failed', (operation, path) => operation === 'remove' && path.includes(id));
      await assert.rejects(uploads.cancel(key), { code: 'failed' });
      driver.recover();
      const admin = new Redis(deployment.settings.addresses[0] as never);
      const log: unknown[] = [];
      for (let day = 1; day <= 3; day += 1) {
        if (where === 'redis') await admin.pexpire(`portcullis:upload:{${id}}`, 1000);
        const ended = await uploads.purge(new Date(Date.now() + 1000), { dryRun: false });
        log.push([
          ended,
          await world.driver.list(paths.upload(app, id)),
          where === 'redis' ? await admin.pttl(`portcullis:upload:{${id}}`) : '',
        ]);
      }
      admin.disconnect();
      assert.deepEqual(await world.driver.list(paths.upload(app, id)), []);
    });
  }
});
