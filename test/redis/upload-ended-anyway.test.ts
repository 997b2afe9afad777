import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { digestOf } from '#libs/oci/digest.ts';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { type CoresOnRedis, startCoresOnRedis } from '../support/cores-on-redis.ts';
import { createSteppingDriver } from '../support/stepping-driver.ts';
import { chunkOf } from '../support/upload-chunks.ts';

const app = parseRepositoryName('team/app');
const bytes = randomBytes(4000);

describe('an upload that was ended is said to be, though its session is lost', () => {
  let world: CoresOnRedis;
  before(async () => {
    world = await startCoresOnRedis();
  });
  after(async () => {
    await world?.[Symbol.asyncDispose]();
  });

  for (const what of ['DELETE', 'PUT with a wrong digest'] as const) {
    for (const how of ['Redis forgets it', 'its lease is over and another request asks'] as const) {
      test(`${what}: ${how} between the rename to ended and the removal`, async () => {
        let id = '';
        let armed = false;
        const other = world.openCore();
        const core = world.openCore(
          createSteppingDriver(world.driver, async ({ operation, path }) => {
            if (!armed || operation !== 'remove' || !path.endsWith(id)) return;
            armed = false;
            if (how.startsWith('Redis')) await world.forget(id as never);
            else {
              world.expire();
              await other.uploads
                .append(key, chunkOf(bytes, { locationOffset: 4000 }))
                .catch(() => {});
            }
          }),
        );
        ({ id } = await core.uploads.start(app, ''));
        const key = { repository: app, id: id as never, subject: '' };
        await core.uploads.append(key, chunkOf(bytes, { locationOffset: 0 }));
        armed = true;
        const told = await (what === 'DELETE'
          ? core.uploads.cancel(key)
          : core.uploads.complete(key, digestOf(Buffer.from('x')))
        ).then(
          () => 'done',
          (e: { code: string }) => e.code,
        );
        const after = await other.uploads.status(key).then(
          ({ offset }) => `${offset}`,
          (e: { code: string }) => e.code,
        );
        assert.ok(
          !(told === 'UNAVAILABLE' && after === 'BLOB_UPLOAD_UNKNOWN'),
          'refused, and carried out',
        );
      });
    }
  }
});
