import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics } from '#libs/metrics/metrics.ts';
import { makeSession, sessionStoreContract } from '../../../test/contract/session-store.ts';
import { parseExposition } from '../../../test/support/exposition.ts';
import { createEmbeddedSessionStore } from './embedded.ts';
import { unattended } from './locks.ts';
import { countTakeovers, measureSessions } from './measured.ts';

const metricsOfTest = () => createMetrics({ process: 'core', version: 'test' });

sessionStoreContract({
  name: 'the measured store',
  create: async (options) => measureSessions(createEmbeddedSessionStore(options), metricsOfTest()),
});

test('open sessions and waits are measured, and takeovers are counted', async () => {
  const metrics = metricsOfTest();
  const store = measureSessions(createEmbeddedSessionStore({ drainPeriod: 20 }), metrics);
  const scrape = async () => parseExposition(await metrics.expose());
  const waits = async (outcome: string) =>
    (await scrape()).value('portcullis_upload_lock_wait_seconds_count', { outcome });
  const ask = { requester: unattended, onReleaseRequested() {} };
  const [first, second] = [makeSession(), makeSession()];
  await store.create(first);
  await store.create(second);
  assert.equal((await scrape()).value('portcullis_uploads_open'), 2);

  await using lock = await store.acquire(first.id, ask);
  await assert.rejects(store.acquire(first.id, ask), { code: 'session-busy' });
  await lock?.[Symbol.asyncDispose]();
  await using next = await store.acquire(first.id, ask);
  await next?.remove();
  assert.equal(await store.acquire(first.id, ask), undefined);
  assert.equal((await scrape()).value('portcullis_uploads_open'), 1);
  assert.deepEqual(await Promise.all(['granted', 'busy', 'gone'].map(waits)), [2, 1, 1]);
  await store.close();

  const countTakeover = countTakeovers(metrics);
  assert.equal((await scrape()).value('portcullis_upload_takeovers_total'), 0);
  countTakeover();
  assert.equal((await scrape()).value('portcullis_upload_takeovers_total'), 1);
});
