import { randomUUID } from 'node:crypto';
import { type Digest, digestParts } from '#libs/oci/digest.ts';
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
import { type StorageDriver, StorageError, type StoragePath } from '../../storage/driver.ts';
import type { BlobStore } from '../blob-store.ts';
import { paths } from '../paths.ts';
import { digestFile, Holding } from './holding.ts';
import { readHolderFiles, recoverSession, writeSessionFiles } from './session-files.ts';

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
  /** Opens a session; it outlives this process when it resolves. */
  start(repository: RepositoryName, subject: string): Promise<UploadSession>;
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
  /** This core, as the session store knows it. */
  const holder = randomUUID();
  /** The files this core holds, by upload. */
  const holdings = new Map<UploadId, Holding>();

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

  async function acquire(key: UploadKey, onReleaseRequested: () => void): Promise<SessionLock> {
    const session = await find(key);
    const seenFence =
      session.holder === holder
        ? session.fence
        : (await readHolderFiles(driver, key.repository, key.id)).highestFence;
    const lock = await translateLockErrors(() =>
      sessions.acquire(key.id, { holder, seenFence, onReleaseRequested }),
    );
    if (lock === undefined) throw unknownUpload(key.id);
    return lock;
  }

  /** The file of ours that goes on from what the session has. */
  async function hold({ session }: SessionLock): Promise<Holding> {
    const { repository, id, fence, algorithm, offset } = session;
    const path = paths.uploadData(repository, id, fence);
    const known = holdings.get(id);
    if (known !== undefined && known.path === path && known.usable) return known;
    await dropHolding(id);
    const holding = await translateLockErrors(() => openHolding(path));
    holdings.set(id, holding);
    return holding;

    async function openHolding(own: StoragePath): Promise<Holding> {
      const { newestData } = await readHolderFiles(driver, repository, id);
      if (newestData > fence) {
        throw new SessionLostError('another core has taken this upload over');
      }
      if (newestData === 0) {
        // A folder that somebody removed cannot be gone on with.
        if (offset > 0) throw new StorageError('not-found', own);
        return await Holding.create(driver, own, algorithm);
      }
      if (newestData === fence) return await Holding.reread(driver, own, algorithm);
      const from = paths.uploadData(repository, id, newestData);
      const copy = paths.uploadCopy(repository, id, fence);
      return await Holding.takeOver(driver, from, copy, own, algorithm);
    }
  }

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
      await record(lock, holding);
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

  async function record(lock: SessionLock, holding: Holding): Promise<void> {
    await holding.release();
    const progress = { offset: holding.size, writer: {} };
    await translateLockErrors(() =>
      lock.update({ ...progress, digest: holding.usable ? holding.digest() : undefined }),
    );
  }

  /** Checks the whole and makes it the repository's blob. */
  async function finish(
    lock: SessionLock,
    digest: Digest,
    chunk: UploadChunk | undefined,
    releaseAsked: AbortSignal,
  ): Promise<void> {
    const holding = await hold(lock);
    if (chunk !== undefined) await take(lock, holding, chunk, releaseAsked);
    const { algorithm } = digestParts(digest);
    await holding.sync();
    await holding.release();
    const actual =
      algorithm === lock.session.algorithm
        ? holding.digest()
        : await digestFile(driver, holding.path, algorithm);
    if (actual !== digest) {
      await forget(lock);
      throw new RegistryError('DIGEST_INVALID', {
        message: `the uploaded bytes have the digest ${actual}, not ${digest}`,
        detail: { digest: actual },
      });
    }
    await driver.move(holding.path, paths.blob(digest));
    await blobs.link(lock.session.repository, digest);
    await forget(lock);
  }

  /**
   * Our file may be gone: removed with its folder, as the original registry's purge does, or by a core
   * that has taken the upload over. What is there now is not ours to remove.
   */
  async function ifStillThere<T>(lock: SessionLock, action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof StorageError) || error.code !== 'not-found') throw error;
      await dropHolding(lock.session.id);
      throw unknownUpload(lock.session.id);
    }
  }

  /** Ends the session and removes what it left in storage. */
  async function forget(lock: SessionLock): Promise<void> {
    const { repository, id } = lock.session;
    await dropHolding(id);
    await translateLockErrors(() => lock.remove());
    await driver.remove(paths.upload(repository, id));
  }

  async function dropHolding(id: UploadId): Promise<void> {
    await holdings.get(id)?.release();
    holdings.delete(id);
  }

  /** Checks the whole and makes it the repository's blob. */
  async function finish(
    lock: SessionLock,
    digest: Digest,
    chunk: UploadChunk | undefined,
    releaseAsked: AbortSignal,
  ): Promise<void> {
    const holding = await hold(lock);
    if (chunk !== undefined) await take(lock, holding, chunk, releaseAsked);
    const { algorithm } = digestParts(digest);
    await holding.sync();
    await holding.release();
    const actual =
      algorithm === lock.session.algorithm
        ? holding.digest()
        : await digestFile(driver, holding.path, algorithm);
    if (actual !== digest) {
      await forget(lock);
      throw new RegistryError('DIGEST_INVALID', {
        message: `the uploaded bytes have the digest ${actual}, not ${digest}`,
        detail: { digest: actual },
      });
    }
    await driver.move(holding.path, paths.blob(digest));
    await blobs.link(lock.session.repository, digest);
    await forget(lock);
  }

  /**
   * Our file may be gone: removed with its folder, as the original registry's purge does, or by a core
   * that has taken the upload over. What is there now is not ours to remove.
   */
  async function ifStillThere<T>(lock: SessionLock, action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof StorageError) || error.code !== 'not-found') throw error;
      await dropHolding(lock.session.id);
      throw unknownUpload(lock.session.id);
    }
  }

  /** Forgets the session here; storage stays as it is. */
  async function letGo(lock: SessionLock): Promise<void> {
    const { id } = lock.session;
    await holdings.get(id)?.release();
    holdings.delete(id);
    await translateLockErrors(() => lock.remove());
  }

  /** Ends the session and removes what it left in storage. */
  async function forget(lock: SessionLock): Promise<void> {
    await letGo(lock);
    await driver.remove(paths.upload(lock.session.repository, lock.session.id));
  }

  return {
    async start(repository, subject) {
      const session: UploadSession = {
        id: createUploadId(),
        repository,
        subject,
        algorithm: 'sha256',
        startedAt: now(),
        holder: undefined,
        fence: 0,
        offset: 0,
        digest: undefined,
        writer: undefined,
      };
      await writeSessionFiles(driver, session);
      await sessions.create(session);
      return session;
    },

    async status(key) {
      const session = await find(key);
      const holding = session.holder === holder ? holdings.get(key.id) : undefined;
      return holding === undefined ? session : { ...session, offset: holding.size };
    },

    async append(key, chunk) {
      const release = new AbortController();
      await using lock = await acquire(key, () => release.abort());
      return await ifStillThere(lock, async () => {
        const holding = await hold(lock);
        await take(lock, holding, chunk, release.signal);
        return holding.size;
      });
    },

    async complete(key, digest, chunk) {
      const release = new AbortController();
      await using lock = await acquire(key, () => release.abort());
      await ifStillThere(lock, () => finish(lock, digest, chunk, release.signal));
    },

    async cancel(key) {
      await using lock = await acquire(key, () => {});
      await forget(lock);
    },
  };
}

function unknownUpload(id: UploadId): RegistryError {
  return new RegistryError('BLOB_UPLOAD_UNKNOWN', { detail: { id } });
}

async function translateLockErrors<T>(action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    if (error instanceof SessionBusyError || error instanceof SessionLostError) {
      throw new RegistryError('UNAVAILABLE', {
        message: error.message,
        retryAfter: 2,
        cause: error,
      });
    }
    throw error;
  }
}
