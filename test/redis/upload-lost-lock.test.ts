import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, test } from 'node:test';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { type CoresOnRedis, startCoresOnRedis } from '../support/cores-on-redis.ts';
import { createSteppingDriver } from '../support/stepping-driver.ts';
import { chunkOf } from '../support/upload-chunks.ts';

const app = parseRepositoryName('team/app');
const bytes = randomBytes(9000);

describe('a request whose client left and whose lock is gone', () => {
  let world: CoresOnRedis;
  before(async () => {
    world = await startCoresOnRedis();
  });
  after(async () => {
    await world?.[Symbol.asyncDispose]();
  });
  test('takes nothing from the one who has the lock', async () => {
    const [reached, go] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let armed = false;
    const a = world.openCore(
      createSteppingDriver(world.driver, async ({ operation, path }) => {
        if (!armed || operation !== 'stat' || !path.endsWith('/session.1')) return;
        armed = false;
        reached.resolve();
        await go.promise;
      }),
    );
    const b = world.openCore();
    const { id } = await a.uploads.start(app, '');
    const key = { repository: app, id, subject: '' };
    await a.uploads.append(key, chunkOf(bytes.subarray(0, 1000), { locationOffset: 0 }));
    const gone = new AbortController();
    armed = true;
    const first = a.uploads
      .append(key, chunkOf(bytes.subarray(1000), { locationOffset: 1000 }), {
        id: '',
        signal: gone.signal,
      })
      .then(String, (e: { code: string }) => e.code);
    await reached.promise;
    gone.abort();
    world.expire();
    const [took, rest] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const second = b.uploads
      .append(key, {
        locationOffset: 1000,
        length: 8000,
        async *source() {
          yield bytes.subarray(1000, 2000);
          took.resolve();
          await rest.promise;
          yield bytes.subarray(2000);
        },
      })
      .then(String, (e: { code: string; message: string }) => `${e.code} ${e.message}`);
    await took.promise;
    go.resolve();
    assert.notEqual(await first, '9000');
    rest.resolve();
    const secondOutcome = await second;
    assert.equal(secondOutcome, '9000');
  });
});
