import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { z } from 'zod';
import { isDigest } from '#libs/oci/digest.ts';
import { isRepositoryName } from '#libs/oci/reference.ts';
import type { UploadId } from '#libs/oci/upload-id.ts';
import type { RedisConnection } from '#libs/redis/connection.ts';
import { givenUpKey } from '#libs/redis/give-up.ts';
import { askFreshly } from '../ask-freshly.ts';
import { confirmWanted, type Requester, RequestGoneError } from '../locks.ts';
import {
  type AcquireOptions,
  SessionBusyError,
  type SessionLock,
  SessionLostError,
  type SessionStore,
  type UploadProgress,
  type UploadSession,
} from '../session-store.ts';
import {
  acquireScript,
  createScript,
  readScript,
  releaseScript,
  removeScript,
  renewScript,
  updateScript,
} from './upload-scripts.ts';
import { type Wake, wakeChannel } from './wake.ts';

/** Milliseconds that a session is kept to which nobody has come yet. */
const unusedTtl = 60 * 60 * 1000;

export interface RedisSessionOptions {
  redis: RedisConnection;
  wake: Wake;
  /** Milliseconds a holder that is not heard of keeps its lock. */
  lease?: number;
  /** Milliseconds one waits for a lock: longer than the lease, so that a dead holder is outlived. */
  drainPeriod?: number;
  /** Milliseconds after the last progress when Redis forgets a session; storage still has it. */
  ttl?: number;
  /** Milliseconds now, for tests of what time does; Redis' own clock without it. */
  clock?: () => number;
}

/** Sessions in Redis, for any number of cores. Throws RedisAwayError while Redis is away. */
export function createRedisSessionStore({
  redis,
  wake,
  lease = 10_000,
  drainPeriod = 12_000,
  ttl = 24 * 60 * 60 * 1000,
  clock,
}: RedisSessionOptions): SessionStore {
  const now = () => (clock === undefined ? '' : clock());
  const keyOf = (id: UploadId) => `portcullis:upload:{${id}}`;
  const keysOf = (id: UploadId, { id: attempt }: Requester) => [keyOf(id), givenUpKey(id, attempt)];
  const freed = (id: UploadId) => `free ${id}`;
  const wakeMessage = (id: UploadId) => `want ${id}`;

  async function enter(
    id: UploadId,
    turn: string,
    { requester }: AcquireOptions,
  ): Promise<UploadSession | undefined> {
    const giveUpAt = performance.now() + drainPeriod;
    for (;;) {
      const args = [now(), ttl, lease, turn, wakeChannel, wakeMessage(id)];
      const answer = (await redis.run(acquireScript, keysOf(id, requester), args)) as [
        outcome: string,
        fields: string[],
      ];
      if (answer[0] === 'gone') throw new RequestGoneError();
      if (answer[0] === 'none') return undefined;
      if (answer[0] === 'yours') {
        const session = parseSession(id, answer[1]);
        // Whoever asks next builds it anew from the tree.
        if (session === undefined) await forget(id, turn);
        return session;
      }
      if (requester.signal.aborted) throw new RequestGoneError(requester.signal.reason);
      if (performance.now() >= giveUpAt) {
        throw new SessionBusyError('the upload is in use by another request');
      }
      await wake.next(freed(id), requester.signal);
    }
  }

  /** @returns 1, or 0 if the turn is over */
  async function forget(id: UploadId, turn: string): Promise<unknown> {
    const args = [now(), turn, wakeChannel, freed(id)];
    return await redis.run(removeScript, [keyOf(id)], args);
  }

  /** Keeps the lease alive, and calls back once when somebody waits or the turn is over. */
  function keepAlive(
    id: UploadId,
    turn: string,
    { requester, onReleaseRequested }: AcquireOptions,
  ): () => void {
    let askedAt: number | undefined;
    const ask = () => {
      if (askedAt !== undefined) return;
      askedAt = performance.now();
      onReleaseRequested();
    };
    const renew = async () => {
      // Whoever hangs in its storage keeps nobody from the upload: what it writes later counts for nothing.
      if (askedAt !== undefined && performance.now() - askedAt > 3 * lease) return;
      const answer = await redis.run(renewScript, keysOf(id, requester), [now(), lease, turn]);
      if (answer !== 1) ask();
    };
    // While Redis is away the lease runs on; whether anybody took the turn shows afterwards.
    const timer = setInterval(() => void renew().catch(() => {}), lease / 3).unref();
    const stopListening = wake.on(wakeMessage(id), ask);
    return () => {
      clearInterval(timer);
      stopListening();
    };
  }

  return {
    async create(session) {
      await redis.run(
        createScript,
        [keyOf(session.id)],
        [now(), Math.min(ttl, unusedTtl), ...formatSession(session)],
      );
    },

    async read(id) {
      const fields = (await redis.run(readScript, [keyOf(id)], [now()])) as string[];
      return fields.length === 0 ? undefined : parseSession(id, fields);
    },

    async acquire(id, options) {
      // Says to whoever looks into Redis which process it was.
      const turn = `${hostname()}/${process.pid}/${randomUUID()}`;
      const entered = await enter(id, turn, options);
      if (entered === undefined) return undefined;
      let session = entered;
      const stopRenewing = keepAlive(id, turn, options);
      const { requester } = options;
      const assertDone = (answer: unknown) => {
        if (answer === -2) throw new RequestGoneError();
        if (answer !== 1) throw new SessionLostError('the upload went on with another request');
      };
      const lock: SessionLock = {
        get session() {
          return session;
        },
        async assertHeld() {
          await confirmWanted(requester);
          const args = [now(), lease, turn];
          const answer = await redis.run(renewScript, keysOf(id, requester), args);
          assertDone(answer === 2 ? 1 : answer);
          await confirmWanted(requester);
        },
        confirm: () => askFreshly(lock.assertHeld, { longest: lease / 2 }),
        async update(progress) {
          const args = [now(), ttl, lease, turn, ...formatProgress(progress)];
          assertDone(await redis.run(updateScript, keysOf(id, requester), args));
          session = { ...session, ...progress };
        },
        async remove() {
          stopRenewing();
          assertDone(await forget(id, turn));
        },
        async [Symbol.asyncDispose]() {
          stopRenewing();
          // If Redis is away, the lease ends it.
          await redis
            .run(releaseScript, [keyOf(id)], [now(), turn, wakeChannel, freed(id)])
            .catch(() => {});
        },
      };
      return lock;
    },

    async close() {},
  };
}

/** As the create script takes it: about, fence, offset, digest, proof. */
function formatSession(session: UploadSession): (string | number)[] {
  const { repository, subject, algorithm, startedAt } = session;
  const about = JSON.stringify({ repository, subject, algorithm, startedAt });
  return [about, ...formatProgress(session)];
}

/** As the scripts take it: fence, offset, digest, proof. */
function formatProgress({ fence, offset, digest, proof }: UploadProgress): (string | number)[] {
  return [fence, offset, digest ?? '', proof ?? ''];
}

/** @returns undefined for what is no session of ours, whoever wrote it: storage knows better */
function parseSession(id: UploadId, list: readonly string[]): UploadSession | undefined {
  const fields = new Map<string, string>();
  for (let index = 0; index < list.length; index += 2) {
    fields.set(list[index] ?? '', list[index + 1] ?? '');
  }
  try {
    const { about, ...progress } = sessionSchema.parse(Object.fromEntries(fields));
    return { id, ...aboutSchema.parse(JSON.parse(about)), ...progress };
  } catch {
    return undefined;
  }
}

const aboutSchema = z.object({
  repository: z.string().refine(isRepositoryName),
  subject: z.string(),
  algorithm: z.enum(['sha256', 'sha512']),
  startedAt: z.coerce.date(),
});

const count = z.coerce.number().int().min(0);
const absent = z.union([z.undefined(), z.literal('')]).transform(() => undefined);

/** The hash of a session, as {@link formatSession} writes it, or an earlier version did that knew less. */
const sessionSchema = z.object({
  about: z.string(),
  fence: count,
  offset: count,
  digest: z.union([absent, z.string().refine(isDigest)]),
  proof: z.union([absent, z.string()]),
});
