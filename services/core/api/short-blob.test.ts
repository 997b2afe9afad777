import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { pushBlob, startCore } from '../../../test/support/core.ts';
import { makeLayer } from '../../../test/support/images.ts';
import type { StorageDriver } from '../storage/driver.ts';
import { createMemoryDriver } from '../storage/memory.ts';

/** Drivers whose blobs end too early once they are told so: one that has streams, and one that has files. */
function createShortDrivers() {
  const memory = createMemoryDriver();
  let isShort = false;
  const shorten = () => {
    isShort = true;
  };
  const ofStreams: StorageDriver = {
    ...memory,
    read: async (path, range, options) =>
      isShort && path.endsWith('/data')
        ? Readable.from([Buffer.alloc(5)])
        : await memory.read(path, range, options),
  };
  const ofFiles: StorageDriver = {
    ...memory,
    openFile: async () => ({
      read: async (_, __, ___, position) => ({ bytesRead: position === 0 ? 5 : 0 }),
      close: async () => {},
    }),
  };
  return { shorten, ofStreams, ofFiles };
}

for (const kind of ['ofStreams', 'ofFiles'] as const) {
  test(`a blob whose file ends too early is broken off, and nobody waits for the rest: ${kind}`, async () => {
    const drivers = createShortDrivers();
    const core = await startCore({ driver: drivers[kind] });
    try {
      const layer = makeLayer(1000);
      await pushBlob(core, 'team/app', layer);
      drivers.shorten();
      const path = `/v2/team/app/blobs/${layer.descriptor.digest}`;
      for (const headers of [{}, { Range: 'bytes=0-99' }, { Range: 'bytes=0-9,20-29' }]) {
        const answered = core.send('GET', path, {
          headers: { ...headers, Connection: 'keep-alive' },
        });
        const outcome = await Promise.race([
          answered.then(
            ({ status, text }) => `${status} ${text}`,
            () => 'broken off',
          ),
          sleep(2000, 'nothing more comes'),
        ]);
        assert.equal(outcome, 'broken off', JSON.stringify(headers));
      }
    } finally {
      await core.close();
    }
  });
}
