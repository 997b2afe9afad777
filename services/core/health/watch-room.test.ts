import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { createFailingDriver, type FailingDriver } from '../../../test/support/failing-driver.ts';
import { createRecordingLog } from '../../../test/support/recording-log.ts';
import { waitFor } from '../../../test/support/wait-for.ts';
import { StorageError, type StoragePath } from '../storage/driver.ts';
import { createMemoryDriver } from '../storage/memory.ts';
import { type WritableStorage, watchRoom } from './watch-room.ts';

describe('whether the storage takes writes', () => {
  let driver: FailingDriver;
  let room: WritableStorage;
  let recording: ReturnType<typeof createRecordingLog>;
  let probes: number;

  beforeEach(() => {
    driver = createFailingDriver(createMemoryDriver());
    recording = createRecordingLog();
    probes = 0;
    const probePath = () => {
      probes += 1;
      return `/probe/${probes}` as StoragePath;
    };
    room = watchRoom({ driver, probePath, log: recording.log, probeEvery: 5 });
  });

  afterEach(() => room.close());

  const noSpace = new StorageError('no-space', '/some/file');

  test('is tried when something could not be written, and told once until it does again', async () => {
    driver.failOn('no-space', (operation) => operation === 'write');
    room.failed(noSpace);
    await waitFor('the trouble', () => room.trouble() === 'no-space');
    const tried = probes;
    room.failed(noSpace);
    await waitFor('more tries', () => probes > tried + 2);
    assert.equal(recording.messages().length, 1);
    assert.match(recording.messages()[0] ?? '', /^error: the storage is full: writes fail/);
    driver.recover();
    await waitFor('its end', () => room.trouble() === undefined);
    assert.deepEqual(recording.messages().slice(1), ['info: the storage accepts writes again']);
    assert.deepEqual(await driver.list('/probe' as StoragePath), [], 'no try is left behind');
  });

  test('is not doubted because of one file that could not be written', async () => {
    room.failed(noSpace);
    await waitFor('the try', async () => probes === 1 && (await driver.list('/' as StoragePath)));
    assert.equal(room.trouble(), undefined);
    assert.deepEqual(recording.messages(), []);
  });
});
