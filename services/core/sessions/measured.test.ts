import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics } from '#libs/metrics/metrics.ts';
import {
  makeSession,
  notForOneCore,
  sessionStoreContract,
} from '../../../test/contract/session-store.ts';
import { parseExposition } from '../../../test/support/exposition.ts';
import { createEmbeddedSessionStore } from './embedded.ts';
import { unattended } from './locks.ts';
import { measureSessions } from './measured.ts';

const metricsOfTest = () => createMetrics({ process: 'core', version: 'test' });

sessionStoreContract({
  name: 'the measured store',
  skip: notForOneCore,
  create: async (options) => measureSessions(createEmbeddedSessionStore(options), metricsOfTest()),
});

test('open sessions, waits and takeovers are measured', async () => {
  const metrics = metricsOfTest();
  const store = measureSessions(createEmbeddedSessionStore({ drainPeriod: 20 }), metrics);
  const scrape = async () => parseExposition(await metrics.expose());
  const waits = async (outcome: string) =>
    (await scrape()).value('portcullis_upload_lock_wait_seconds_count', { outcome });
  const ask = (holder: string) => ({
    holder,
    seenFence: 0,
    requester: unattended,
    onReleaseRequested() {},
  });
  const [first, second] = [makeSession(), makeSession()];
  await store.create(first);
  await store.create(second);
  assert.equal((await scrape()).value('portcullis_uploads_open'), 2);

  await using lock = await store.acquire(first.id, ask('a'));
  assert.equal((await scrape()).value('portcullis_upload_takeovers_total'), 0);
  await assert.rejects(store.acquire(first.id, ask('b')), { code: 'session-busy' });
  await lock?.[Symbol.asyncDispose]();
  await using taken = await store.acquire(first.id, ask('b'));
  assert.equal(taken?.takenOver, true);
  assert.equal((await scrape()).value('portcullis_upload_takeovers_total'), 1);
  await taken.remove();
  assert.equal(await store.acquire(first.id, ask('b')), undefined);
  assert.equal((await scrape()).value('portcullis_uploads_open'), 1);
  assert.deepEqual(await Promise.all(['granted', 'busy', 'gone'].map(waits)), [2, 1, 1]);
});

test('a store that measures nothing is the store itself', () => {
  const store = createEmbeddedSessionStore();
  assert.equal(measureSessions(store, undefined), store);
});
