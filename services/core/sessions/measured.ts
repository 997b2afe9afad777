import { LRUCache } from 'lru-cache';
import { atMost } from '#libs/limits/cache-size.ts';
import type { Metrics } from '#libs/metrics/metrics.ts';
import type { UploadId } from '#libs/oci/upload-id.ts';
import { SessionBusyError, type SessionLock, type SessionStore } from './session-store.ts';

/** Seconds; a holder has ten to let go. */
const buckets = [0.001, 0.01, 0.1, 0.5, 1, 2.5, 5, 10, 30];

/**
 * What this core knows to be open. Another core may end a session without our hearing of it, so what
 * nobody came for in so long is no longer counted, in milliseconds.
 */
const known = { ...atMost(100_000), ttl: 24 * 3_600_000 };

/** Counts the uploads that this core goes on with where another one, or its predecessor, left them. */
export function countTakeovers(metrics: Metrics | undefined): () => void {
  const takeovers = metrics?.counter(
    'portcullis_upload_takeovers_total',
    'Upload sessions that this core took over from another one, or from its predecessor',
  );
  return () => takeovers?.inc();
}

/** The same store; open sessions, and waits for their locks are measured. */
export function measureSessions(store: SessionStore, metrics: Metrics | undefined): SessionStore {
  if (metrics === undefined) return store;
  const open = new LRUCache<UploadId, true>(known);
  metrics.gauge(
    'portcullis_uploads_open',
    'Upload sessions that this core opened or served in the last day and that have not ended',
    [],
    (gauge) => {
      open.purgeStale();
      gauge.set(open.size);
    },
  );
  const waits = metrics.histogram(
    'portcullis_upload_lock_wait_seconds',
    'Seconds until a request had the lock of its upload session, or was told that it is busy',
    ['outcome'],
    buckets,
  );
  function watch(id: UploadId, lock: SessionLock): SessionLock {
    return {
      get session() {
        return lock.session;
      },
      assertHeld: () => lock.assertHeld(),
      confirm: () => lock.confirm(),
      update: (progress) => lock.update(progress),
      async remove() {
        await lock.remove();
        open.delete(id);
      },
      [Symbol.asyncDispose]: () => lock[Symbol.asyncDispose](),
    };
  }

  return {
    async create(session) {
      await store.create(session);
      open.set(session.id, true);
    },

    async read(id) {
      const session = await store.read(id);
      if (session === undefined) open.delete(id);
      return session;
    },

    async acquire(id, options) {
      const started = performance.now();
      let outcome = 'failed';
      try {
        const lock = await store.acquire(id, options);
        outcome = lock === undefined ? 'gone' : 'granted';
        if (lock === undefined) {
          open.delete(id);
          return undefined;
        }
        open.set(id, true);
        return watch(id, lock);
      } catch (error) {
        if (error instanceof SessionBusyError) outcome = 'busy';
        throw error;
      } finally {
        waits.observe({ outcome }, (performance.now() - started) / 1000);
      }
    },

    close: () => store.close(),
  };
}
