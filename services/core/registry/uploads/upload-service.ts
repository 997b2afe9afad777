import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { type Digest, type DigestAlgorithm, digestParts } from '#libs/oci/digest.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import type { RepositoryName } from '#libs/oci/reference.ts';
import { createUploadId, type UploadId } from '#libs/oci/upload-id.ts';
import {
  SessionBusyError,
  type SessionLock,
  SessionLostError,
  type SessionStore,
  type UploadSession,
} from '../../sessions/session-store.ts';
import { type StorageDriver, StorageError } from '../../storage/driver.ts';
import type { BlobStore } from '../blob-store.ts';
import { paths } from '../paths.ts';
import { digestFile, type Holding } from './holding.ts';
import { createHoldings } from './holdings.ts';
import { readHolderFiles, recoverSession, writeSessionFiles } from './session-files.ts';
import { walkUploads } from './walk-uploads.ts';

/** Which upload is meant, and who asks. */
export interface UploadKey {
  repository: RepositoryName;
  id: UploadId;
  subject: string;
}

/** Bytes of a request, and where the client says they belong. */
export interface UploadChunk {
  /** Gives the bytes, and ends early when the signal is aborted. */
  source: (signal: AbortSignal) => AsyncIterable<Buffer>;
  /** Offset of the first byte; undefined where the client does not say. */
  start?: number | undefined;
  /** Number of bytes announced; undefined where unknown. */
  length?: number | undefined;
}

/**
 * Upload sessions of blobs (distribution-spec, "Pushing blobs"). A session that is another's, or of
 * another repository, is BLOB_UPLOAD_UNKNOWN to everybody else.
 */
export interface UploadService {
  /** Bytes that a chunk should at least have (distribution-spec, "Pushing a blob in chunks"); 0 for any. */
  readonly chunkMinLength: number;
  /**
   * Opens a session; it outlives this process when it resolves.
   * @param algorithm what is computed while bytes arrive; another digest at the end costs a re-read
   */
  start(
    repository: RepositoryName,
    subject: string,
    algorithm?: DigestAlgorithm,
  ): Promise<UploadSession>;
  /** @throws RegistryError BLOB_UPLOAD_UNKNOWN */
  status(key: UploadKey): Promise<UploadSession>;
  /**
   * Appends bytes; what was taken outlives this process when it resolves, and also when it rejects.
   * @returns the new offset
   * @throws RegistryError BLOB_UPLOAD_UNKNOWN; RANGE_INVALID with `detail.offset` if the chunk starts
   *   elsewhere; SIZE_INVALID if it is not as long as announced; UNAVAILABLE if another request
   *   holds the session
   */
  append(key: UploadKey, chunk: UploadChunk): Promise<number>;
  /**
   * Takes the last bytes, if any, checks the digest and makes the blob the repository's; durable when
   * it resolves. A wrong digest ends the session.
   * @throws RegistryError as `append`, and DIGEST_INVALID
   */
  complete(key: UploadKey, digest: Digest, chunk?: UploadChunk): Promise<void>;
  /** Ends a session and removes its bytes. @throws RegistryError BLOB_UPLOAD_UNKNOWN */
  cancel(key: UploadKey): Promise<void>;
  /**
   * Ends uploads that were opened before a time, also those that an older registry left. One that
   * another request does not let go of stays for the next time.
   * @returns how many were ended, or would be
   */
  purge(openedBefore: Date, options: { dryRun: boolean }): Promise<number>;
}

interface Dependencies {
  driver: StorageDriver;
  sessions: SessionStore;
  blobs: BlobStore;
  now?: () => Date;
}

export function createUploadService({
  driver,
  sessions,
  blobs,
  now = () => new Date(),
}: Dependencies): UploadService {
  /** This core, as the session store knows it: told apart also from itself before a restart. */
  const holder = `${hostname()}/${process.pid}/${randomUUID()}`;
  const holdings = createHoldings(driver);

  async function find({ repository, id, subject }: UploadKey): Promise<UploadSession> {
    let session = await sessions.read(id);
    if (session === undefined) {
      const recovered = await recoverSession(driver, repository, id);
      if (recovered !== undefined) await sessions.create(recovered);
      session = recovered;
    }
    if (session?.repository !== repository || session.subject !== subject) {
      throw unknownUpload(id);
    }
    return session;
  }

  /**
   * Waits for the session's lock. Where a request of ours still hangs in the middle of our file, having
   * lost its turn, we go on with a file of another number.
   */
  async function acquire(key: UploadKey, onReleaseRequested: () => void): Promise<SessionLock> {
    const session = await find(key);
    const isHeld = session.holder === holder && holdings.sizeOf(key.id) !== undefined;
    const seenFence = isHeld ? session.fence : await highestFence(key);
    const lock = await sessions.acquire(key.id, { holder, seenFence, onReleaseRequested });
    if (lock === undefined) throw unknownUpload(key.id);
    if (lock.takenOver || !holdings.isBusy(key.id)) return lock;
    await lock[Symbol.asyncDispose]();
    const beyond = (await highestFence(key)) + 1;
    const again = await sessions.acquire(key.id, {
      holder,
      seenFence: beyond,
      onReleaseRequested,
    });
    if (again === undefined) throw unknownUpload(key.id);
    return again;
  }

  async function highestFence({ repository, id }: UploadKey): Promise<number> {
    return (await readHolderFiles(driver, repository, id)).highestFence;
  }

  /** Our file of the session, which no other request of ours uses meanwhile. */
  async function withHolding<T>(
    lock: SessionLock,
    action: (holding: Holding) => Promise<T>,
  ): Promise<T> {
    const holding = await holdings.hold(lock.session);
    holding.busy = true;
    try {
      return await action(holding);
    } finally {
      holding.busy = false;
    }
  }

  /** Appends a chunk to our file, and records how far we got, also if the chunk breaks off. */
  async function take(
    lock: SessionLock,
    holding: Holding,
    { source, start, length }: UploadChunk,
    releaseAsked: AbortSignal,
  ): Promise<void> {
    const before = holding.size;
    if (start !== undefined && start !== before) {
      throw new RegistryError('RANGE_INVALID', {
        message: `the chunk starts at byte ${start}, but the upload has ${before} bytes`,
        detail: { offset: before },
      });
    }
    try {
      for await (const chunk of source(releaseAsked)) await holding.write(chunk);
    } finally {
      await holding.release();
      const digest = holding.usable ? holding.digest() : undefined;
      await lock.update({ offset: holding.size, writer: {}, digest });
    }
    if (releaseAsked.aborted) {
      throw new RegistryError('UNAVAILABLE', {
        message: 'another request has taken this upload over',
        retryAfter: 1,
      });
    }
    const received = holding.size - before;
    if (length !== undefined && received !== length) {
      throw new RegistryError('SIZE_INVALID', {
        message: `${length} bytes were announced, ${received} came`,
        detail: { announced: length, received },
      });
    }
  }

  /** Checks the whole and makes it the repository's blob. */
  async function finish(lock: SessionLock, holding: Holding, digest: Digest): Promise<void> {
    const { algorithm } = digestParts(digest);
    await holding.sync();
    await holding.release();
    const actual =
      algorithm === lock.session.algorithm
        ? holding.digest()
        : await digestFile(driver, holding.path, algorithm);
    if (actual !== digest) {
      await end(lock);
      throw new RegistryError('DIGEST_INVALID', {
        message: `the uploaded bytes have the digest ${actual}, not ${digest}`,
        detail: { digest: actual },
      });
    }
    await driver.move(holding.path, paths.blob(digest));
    await blobs.link(lock.session.repository, digest);
    try {
      await end(lock);
    } catch (error) {
      // The blob is the repository's for good; what is left of the session is the purge's.
      if (error instanceof StorageError) throw error;
    }
  }

  /** Ends the session and removes what it left in storage: first that, so that nobody rebuilds it. */
  async function end(lock: SessionLock): Promise<void> {
    const { repository, id } = lock.session;
    holdings.drop(id);
    await driver.remove(paths.upload(repository, id));
    await lock.remove();
  }

  /** Runs an action with the session's lock and says in the client's words why it cannot be. */
  async function withLock<T>(
    key: UploadKey,
    action: (lock: SessionLock, releaseAsked: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const release = new AbortController();
    try {
      await using lock = await acquire(key, () => release.abort());
      return await action(lock, release.signal);
    } catch (error) {
      if (error instanceof SessionBusyError || error instanceof SessionLostError) {
        const { message } = error;
        throw new RegistryError('UNAVAILABLE', { message, retryAfter: 2, cause: error });
      }
      if (error instanceof StorageError && error.code === 'not-found') {
        throw await explainMissing(key, error);
      }
      throw error;
    }
  }

  /**
   * Our file is gone: with its folder, as the original registry's purge does, or taken over by another
   * core. What is there now is not ours to remove.
   */
  async function explainMissing(
    { repository, id }: UploadKey,
    cause: StorageError,
  ): Promise<RegistryError> {
    holdings.drop(id);
    const left = await recoverSession(driver, repository, id);
    if (left === undefined || left.offset === 0) return unknownUpload(id);
    const message = 'another core has taken this upload over';
    return new RegistryError('UNAVAILABLE', { message, retryAfter: 1, cause });
  }

  /** @returns false if somebody is at it */
  async function purgeOne(repository: RepositoryName, id: UploadId): Promise<boolean> {
    // One that this store forgot may be in use all the same, by a core that has not noticed yet.
    const session = (await sessions.read(id)) ?? (await recoverSession(driver, repository, id));
    try {
      if (session === undefined) await driver.remove(paths.upload(repository, id));
      else await withLock({ repository, id, subject: session.subject }, end);
      return true;
    } catch (error) {
      if (error instanceof RegistryError) return false;
      throw error;
    }
  }

  return {
    chunkMinLength: driver.chunkMinLength ?? 0,

    async start(repository, subject, algorithm = 'sha256') {
      const session: UploadSession = {
        id: createUploadId(),
        repository,
        subject,
        algorithm,
        startedAt: now(),
        holder: undefined,
        fence: 0,
        offset: 0,
        digest: undefined,
        writer: undefined,
      };
      await writeSessionFiles(driver, session);
      try {
        await sessions.create(session);
      } catch (error) {
        // The client never learns of it.
        await driver.remove(paths.upload(repository, session.id)).catch(() => {});
        throw error;
      }
      return session;
    },

    async status(key) {
      const session = await find(key);
      const size = session.holder === holder ? holdings.sizeOf(key.id) : undefined;
      return size === undefined ? session : { ...session, offset: size };
    },

    append: (key, chunk) =>
      withLock(key, (lock, releaseAsked) =>
        withHolding(lock, async (holding) => {
          await take(lock, holding, chunk, releaseAsked);
          return holding.size;
        }),
      ),

    complete: (key, digest, chunk) =>
      withLock(key, (lock, releaseAsked) =>
        withHolding(lock, async (holding) => {
          if (chunk !== undefined) await take(lock, holding, chunk, releaseAsked);
          await finish(lock, holding, digest);
        }),
      ),

    cancel: (key) => withLock(key, end),

    async purge(openedBefore, { dryRun }) {
      let found = 0;
      for await (const { repository, id, openedAt } of walkUploads(driver)) {
        if (openedAt >= openedBefore) continue;
        if (dryRun || (await purgeOne(repository, id))) found += 1;
      }
      return found;
    },
  };
}

function unknownUpload(id: UploadId): RegistryError {
  return new RegistryError('BLOB_UPLOAD_UNKNOWN', { detail: { id } });
}
