import assert from 'node:assert/strict';
import { beforeEach, describe, test } from 'node:test';
import { digestOf } from '#libs/oci/digest.ts';
import { parseRepositoryName } from '#libs/oci/reference.ts';
import { openRegistry } from '../../../../test/support/open-registry.ts';
import { createSteppingDriver } from '../../../../test/support/stepping-driver.ts';
import { createEmbeddedSessionStore } from '../../sessions/embedded.ts';
import { createEmbeddedLocks } from '../../sessions/embedded-locks.ts';
import { type StorageDriver, StorageError } from '../../storage/driver.ts';
import { createMemoryDriver } from '../../storage/memory.ts';
import type { Registry } from '../registry.ts';
import type { LimitedUploads } from './limited-uploads.ts';

const [app, other] = [parseRepositoryName('team/app'), parseRepositoryName('team/other')];
const hour = 3_600_000;
const refusal = { code: 'TOOMANYREQUESTS' };
const bytes = Buffer.from('bytes');
const chunk = {
  source: async function* () {
    yield bytes;
  },
};

describe('uploads that are begun and not finished', () => {
  let driver: StorageDriver;
  let time: number;
  let registry: Registry;
  let uploads: LimitedUploads;

  const open = (sessions = createEmbeddedSessionStore()) => {
    registry = openRegistry(driver, {
      sessions,
      locks: createEmbeddedLocks(),
      maxOpenUploads: 5,
      now: () => new Date(time),
    });
    uploads = registry.uploads;
    return sessions;
  };

  beforeEach(() => {
    driver = createMemoryDriver();
    time = Date.now();
    open();
  });

  const begin = async (count: number, subject: string, repository = app) =>
    await Promise.all(Array.from({ length: count }, () => uploads.start(repository, subject)));
  const keyOf = ({ id, repository, subject }: Awaited<ReturnType<typeof begin>>[number]) => ({
    id,
    repository,
    subject,
  });
  const isRefused = async (subject: string, repository = app) => {
    await assert.rejects(uploads.start(repository, subject), refusal);
  };

  test('are so many for an account, whatever the repository', async () => {
    await begin(3, 'ann', app);
    await begin(2, 'ann', other);
    await isRefused('ann', parseRepositoryName('new'));
    await begin(1, 'bob', parseRepositoryName('new'));
    assert.equal(uploads.limit.refused, 1);
    assert.equal(uploads.limit.used, 5);
  });

  test('are so many for anonymous clients in a repository, and keep no account out of it', async () => {
    const from = (network: string) => uploads.start(app, '', 'sha256', network);
    await begin(5, 'ann');
    for (let n = 0; n < 5; n += 1) await from(`203.0.113.${n}`);
    await assert.rejects(from('203.0.113.5'), refusal);
    await begin(5, 'bob');
    await begin(3, '', other);
  });

  test('are no more for an anonymous client in a repository than leaves others their share', async () => {
    const from = (network: string) => uploads.start(app, '', 'sha256', network);
    for (let n = 0; n < 3; n += 1) await from('203.0.113.7');
    await assert.rejects(from('203.0.113.7'), refusal);
    await from('203.0.113.8');
    await from('203.0.113.9');
  });

  test('are so many for an anonymous client, whatever the repository', async () => {
    const from = (network: string, name: string) =>
      uploads.start(parseRepositoryName(name), '', 'sha256', network);
    for (let n = 0; n < 5; n += 1) await from('203.0.113.7', `new/${n}`);
    await assert.rejects(from('203.0.113.7', 'new/5'), refusal);
    await from('203.0.113.8', 'new/5');
  });

  test('are no more if they are asked for at once, and those that could not be begun take no place', async () => {
    const asked = await Promise.allSettled(
      Array.from({ length: 20 }, () => uploads.start(app, 'ann')),
    );
    assert.equal(asked.filter(({ status }) => status === 'fulfilled').length, 5);
    assert.equal(uploads.limit.used, 5);

    const sessions = createEmbeddedSessionStore();
    sessions.create = async () => {
      throw new Error('the store is away');
    };
    open(sessions);
    await assert.rejects(uploads.start(app, 'bob'), /the store is away/);
    assert.equal(uploads.limit.used, 0);
  });

  test('count until they end, however they do', async () => {
    const begun = await begin(5, 'ann');
    const [first, second, third] = begun.map(keyOf);
    assert.ok(first && second && third);
    await isRefused('ann');
    await uploads.cancel(first);
    await uploads.complete(second, digestOf(bytes), chunk);
    await assert.rejects(uploads.complete(third, digestOf(Buffer.from('x')), chunk), {
      code: 'DIGEST_INVALID',
    });
    await begin(3, 'ann');
    time += 11_000;
    await isRefused('ann');
  });

  test('count a tenth once they have bytes, and not because something was tried', async () => {
    const begun = await begin(5, 'ann');
    const [first] = begun.map(keyOf);
    assert.ok(first);
    await assert.rejects(uploads.append(first, { ...chunk, start: 7 }), { code: 'RANGE_INVALID' });
    await isRefused('ann');
    for (const upload of begun) await uploads.append(keyOf(upload), chunk);
    await begin(5, 'ann', other);
    await isRefused('ann', other);
  });

  test('that went on or ended at another core are found to have', async () => {
    const sessions = open();
    const begun = await begin(5, 'ann');
    const elsewhere = openRegistry(driver, { sessions }).uploads;
    await isRefused('ann');
    for (const upload of begun.slice(0, 2)) await elsewhere.cancel(keyOf(upload));
    // What one account has is not counted anew each time that it asks.
    await isRefused('ann');
    time += 11_000;
    await begin(2, 'ann');
    await isRefused('ann');
  });

  test('are counted for the network that began them by a core that is started later', async () => {
    const from = (network: string) => uploads.start(app, '', 'sha256', network);
    for (let n = 0; n < 3; n += 1) await from('203.0.113.7');
    open();
    await uploads.census();
    await assert.rejects(from('203.0.113.7'), refusal);
    await from('203.0.113.8');
  });

  test('of a network that is full are looked at once for all repositories that it asks for', async () => {
    const sessions = createEmbeddedSessionStore();
    let looks = 0;
    const read = sessions.read.bind(sessions);
    sessions.read = (id) => {
      looks += 1;
      return read(id);
    };
    open(sessions);
    const from = (name: string) =>
      uploads.start(parseRepositoryName(name), '', 'sha256', '203.0.113.7');
    for (let n = 0; n < 5; n += 1) await from(`new/${n}`);
    looks = 0;
    for (let n = 5; n < 20; n += 1) await assert.rejects(from(`new/${n}`), refusal);
    assert.equal(looks, 5);
  });

  test('are looked at again where that failed a moment before', async () => {
    let fails = false;
    const failing = createSteppingDriver(driver, async () => {
      if (fails) throw new StorageError('failed', 'the disk is ill');
    });
    driver = failing;
    const begun = await begin(5, 'ann');
    open();
    await uploads.census();
    for (const upload of begun) await openRegistry(driver).uploads.cancel(keyOf(upload));
    fails = true;
    await assert.rejects(uploads.start(app, 'ann'), /the disk is ill/);
    fails = false;
    await begin(1, 'ann');
  });

  test('are still counted by a core that was started since', async () => {
    const begun = await begin(5, 'ann');
    await uploads.append(keyOf(begun[0] as (typeof begun)[number]), chunk);
    open();
    await uploads.census();
    await begin(1, 'ann', other);
    await isRefused('ann');
    await uploads.census();
    assert.equal(uploads.limit.used, 6);
  });

  test('end after a time without a byte; with one they stay', async () => {
    const begun = await begin(3, 'ann');
    await uploads.append(keyOf(begun[0] as (typeof begun)[number]), chunk);
    assert.equal(await uploads.expireEmpty(hour), 0);
    time += hour + 1;
    await begin(1, 'ann');
    assert.equal(await uploads.expireEmpty(hour), 2);
    const left = (await driver.list('/docker/registry/v2/repositories/team/app/_uploads' as never))
      .length;
    assert.equal(left, 2);
    await assert.rejects(uploads.status(keyOf(begun[1] as (typeof begun)[number])), {
      code: 'BLOB_UPLOAD_UNKNOWN',
    });
    assert.equal(await uploads.expireEmpty(hour), 0);
  });

  test('that get their first byte while they are to end stay', async () => {
    const [upload] = await begin(1, 'ann');
    assert.ok(upload);
    const gate = Promise.withResolvers<void>();
    const sending = uploads.append(keyOf(upload), {
      source: async function* (signal) {
        yield bytes;
        signal.addEventListener('abort', () => gate.resolve());
        if (!signal.aborted) await gate.promise;
      },
    });
    await Promise.resolve();
    time += 2 * hour;
    assert.equal(await uploads.expireEmpty(hour), 0);
    await assert.rejects(sending, { code: 'UNAVAILABLE' });
    assert.equal((await uploads.status(keyOf(upload))).offset, bytes.length);
  });

  test('that a purge ended count no more', async () => {
    await begin(5, 'ann');
    time += 2 * hour;
    assert.equal(await uploads.purge(new Date(time - hour), { dryRun: true }), 5);
    await isRefused('ann');
    assert.equal(await uploads.purge(new Date(time - hour), { dryRun: false }), 5);
    await begin(5, 'ann');
  });
});
