import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { createFailingDriver, type FailingDriver } from '../../test/support/failing-driver.ts';
import { createRecordingLog } from '../../test/support/recording-log.ts';
import { waitFor } from '../../test/support/wait-for.ts';
import { type Ownership, type OwnerTimes, takeOwnership } from './owner.ts';
import { paths } from './registry/paths.ts';
import { readAll } from './registry/small-files.ts';
import { createMemoryDriver } from './storage/memory.ts';

const times: OwnerTimes = { beat: 5, stillFor: 60, waitFor: 400 };
/** A living owner beats more often than a starting core looks. */
const patient: OwnerTimes = { beat: 5, stillFor: 10_000, waitFor: 60 };

describe('the owner of a tree', () => {
  let driver: FailingDriver;
  let taken: Ownership[];
  let recording: ReturnType<typeof createRecordingLog>;

  beforeEach(() => {
    driver = createFailingDriver(createMemoryDriver());
    recording = createRecordingLog();
    taken = [];
  });

  afterEach(async () => {
    driver.recover();
    for (const ownership of taken) await ownership.release();
  });

  async function take(
    onLost: (reason: string) => void = () => {},
    chosen: OwnerTimes = times,
    shared = false,
  ): Promise<Ownership> {
    const { log } = recording;
    const ownership = await takeOwnership({ driver, log, onLost, times: chosen, shared });
    taken.push(ownership);
    return ownership;
  }

  const record = async () =>
    JSON.parse((await readAll(driver, paths.owner)).toString()) as Record<string, unknown>;
  const writeRecord = (value: unknown) =>
    driver.put(paths.owner, Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)));
  /** What a core on another machine, or in another container, leaves. */
  const foreign = (counter: number, id = 'other') => ({ id, counter, host: 'elsewhere' });

  test('is written down with its host, and shows that it lives', async () => {
    await take();
    const { host, counter } = await record();
    assert.equal(host, hostname());
    await waitFor('a beat', async () => Number((await record()).counter) > Number(counter));
  });

  test('gives the tree back when it is done', async () => {
    const ownership = await take();
    await ownership.release();
    await assert.rejects(driver.stat(paths.owner), { code: 'not-found' });
    await take();
    assert.deepEqual(recording.messages(), []);
  });

  test('is refused while another lives, in words that name it and the way out', async () => {
    let counter = 0;
    const beating = setInterval(() => void writeRecord(foreign(++counter)), 1);
    try {
      await writeRecord(foreign(counter));
      await assert.rejects(take(undefined, patient), /the core on elsewhere .*redis:/);
    } finally {
      clearInterval(beating);
    }
    assert.deepEqual(recording.messages(), [
      'info: another core owns this storage; waiting for it to go',
    ]);
    assert.equal((await record()).id, 'other');
  });

  test('follows another that stands still', async () => {
    await writeRecord(foreign(7));
    await take();
    assert.notEqual((await record()).id, 'other');
    assert.ok(
      recording.messages().includes('warn: the last owner of this storage is dead; taking it over'),
    );
  });

  test('follows at once another that goes while it is waited for', async () => {
    await writeRecord(foreign(7));
    const waiting = take(undefined, { beat: 1, stillFor: 10_000, waitFor: 10_000 });
    await waitFor('the wait', () => recording.messages().length > 0);
    await driver.remove(paths.owner);
    await waiting;
    assert.notEqual((await record()).id, 'other');
  });

  test('does not wait for a process of this system that is no more', async () => {
    const first = await take();
    const mine = await record();
    await first.release();
    const [boot, namespace] = String(mine.process).split(' ');
    if (boot === '') return;
    await writeRecord({ ...foreign(1), process: [boot, namespace, 4_194_305, 1].join(' ') });
    await take(undefined, { beat: 10_000, stillFor: 10_000, waitFor: 0 });
    assert.deepEqual(recording.messages(), []);
  });

  test('does not mistake a process of another system for one of its own', async () => {
    const first = await take();
    const mine = await record();
    await first.release();
    const [, ...rest] = String(mine.process).split(' ');
    await writeRecord({ ...foreign(1), process: ['another-boot', ...rest].join(' ') });
    await take();
    assert.equal(recording.messages().length, 2);
  });

  for (const content of ['', '{', '[]', 'null', '{"id":1,"counter":"2"}']) {
    test(`takes a tree whose owner file says ${content === '' ? 'nothing' : content}`, async () => {
      await writeRecord(content);
      await take();
      assert.equal((await record()).host, hostname());
    });
  }

  test('is shared at once by cores that agree in Redis, and outlives each of them', async () => {
    const first = await take(undefined, patient, true);
    await take(undefined, { beat: 10_000, stillFor: 10_000, waitFor: 0 }, true);
    assert.deepEqual(recording.messages(), []);
    await first.release();
    assert.equal((await record()).id, 'redis');
  });

  test('keeps cores that agree in Redis, and one that is alone, from each other', async () => {
    const reasons: string[] = [];
    const shared = await take((reason) => void reasons.push(reason), times, true);
    await assert.rejects(take(undefined, patient), /is using this storage; .*redis:/);
    await writeRecord(foreign(1));
    await waitFor('the cores that share to notice', () => reasons.length === 1);
    await shared.release();
    let counter = 1;
    const beating = setInterval(() => void writeRecord(foreign(++counter)), 1);
    try {
      await assert.rejects(take(undefined, patient, true), /without redis:; stop it first/);
    } finally {
      clearInterval(beating);
    }
  });

  test('learns once that another has taken over, and leaves that one alone', async () => {
    const reasons: string[] = [];
    const ownership = await take((reason) => void reasons.push(reason));
    await writeRecord(foreign(1));
    await waitFor('the loss', () => reasons.length > 0);
    await ownership.release();
    assert.equal(reasons.length, 1);
    assert.match(reasons[0] ?? '', /elsewhere/);
    assert.deepEqual(await record(), foreign(1));
  });

  test('outlives a storage that fails for a while', async () => {
    const lost: string[] = [];
    await take((reason) => void lost.push(reason));
    driver.failOn('no-space', (operation, path) => operation === 'put' && path === paths.owner);
    await waitFor('a warning', () =>
      recording.messages().includes('warn: the owner file could not be renewed'),
    );
    driver.recover();
    const { counter } = await record();
    await waitFor('a beat', async () => Number((await record()).counter) > Number(counter));
    assert.deepEqual(lost, []);
  });

  test('is not had where the storage cannot be read', async () => {
    driver.failOn('failed', (operation) => operation === 'read');
    await assert.rejects(take(), { code: 'failed' });
  });

  test('of two that start at once one is left', async () => {
    const lost: string[] = [];
    await Promise.all(['first', 'second'].map((name) => take(() => void lost.push(name))));
    await waitFor('one of them to notice', () => lost.length > 0);
    assert.equal(lost.length, 1);
  });
});
