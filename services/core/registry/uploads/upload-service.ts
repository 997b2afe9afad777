import type { Digest, DigestAlgorithm } from '#libs/oci/digest.ts';
import type { RepositoryName } from '#libs/oci/reference.ts';
import { createUploadId } from '#libs/oci/upload-id.ts';
import { type Locks, type Requester, unattended } from '../../sessions/locks.ts';
import type { SessionStore, UploadSession } from '../../sessions/session-store.ts';
import { ifPresent, type StorageDriver } from '../../storage/driver.ts';
import type { BlobStore } from '../blob-store.ts';
import { maxLooks } from '../looks.ts';
import { paths } from '../paths.ts';
import { readLink } from '../small-files.ts';
import { createPartialUploads } from './partial-uploads.ts';
import { createSessionAccess, type UploadKey, unknownUpload } from './session-access.ts';
import { assertWantedBy, discard, takeChunk, type UploadChunk } from './take-chunk.ts';
import { createUploadEnding } from './upload-ending.ts';
import { measureUpload, pruneUploadFolder, readUploadFolder } from './upload-folder.ts';
import { writeSessionFiles } from './upload-holder.ts';
import { createUploadUpkeep, type UploadUpkeep } from './upload-upkeep.ts';

/**
 * Upload sessions of blobs (distribution-spec, "Pushing blobs"). A session that is another's, or of
 * another repository, is BLOB_UPLOAD_UNKNOWN to everybody else.
 */
export interface UploadService extends UploadUpkeep {
  /** Bytes that a chunk should at least have (distribution-spec, "Pushing a blob in chunks"); 0 for any. */
  readonly chunkMinLength: number;
  /**
   * Opens a session; it outlives this process when it resolves.
   * @param algorithm what is computed while bytes arrive; another digest at the end costs a re-read
   * @param network of the client; kept where it has no account
   */
  start(
    repository: RepositoryName,
    subject: string,
    algorithm?: DigestAlgorithm,
    network?: string,
  ): Promise<UploadSession>;
  /** A session as it was recorded last. @throws RegistryError BLOB_UPLOAD_UNKNOWN */
  find(key: UploadKey): Promise<UploadSession>;
  /**
   * A session with all bytes that arrived; of a chunk on its way to another core, with those before it.
   * @throws RegistryError BLOB_UPLOAD_UNKNOWN
   */
  status(key: UploadKey): Promise<UploadSession>;
  /**
   * Appends bytes; what arrived outlives this process when it resolves, and also when it rejects. Sent again to the same
   * address, because their answer was lost, they are not taken twice.
   * @returns the offset behind the chunk
   * @throws RegistryError BLOB_UPLOAD_UNKNOWN; RANGE_INVALID with `detail.offset` if the chunk starts
   *   elsewhere, or is not what arrived before; SIZE_INVALID if it is not as long as announced; UNAVAILABLE if another
   *   request holds the session
   */
  append(key: UploadKey, chunk: UploadChunk, requester?: Requester): Promise<number>;
  /**
   * Takes the last bytes, if any, checks the digest and makes the blob the repository's; durable when
   * it resolves. A wrong digest ends the session.
   * @throws RegistryError as `append`, and DIGEST_INVALID
   */
  complete(
    key: UploadKey,
    digest: Digest,
    chunk?: UploadChunk,
    requester?: Requester,
  ): Promise<void>;
  /** Ends a session and removes its bytes. @throws RegistryError BLOB_UPLOAD_UNKNOWN */
  cancel(key: UploadKey, requester?: Requester): Promise<void>;
}

interface Dependencies {
  driver: StorageDriver;
  sessions: SessionStore;
  locks: Locks;
  blobs: BlobStore;
  /** Called when an upload goes on here that was another core's before, or that of this one's predecessor. */
  onTakenOver?: (() => void) | undefined;
  now?: () => Date;
}

export function createUploadService({
  driver,
  sessions,
  locks,
  blobs,
  onTakenOver,
  now = () => new Date(),
}: Dependencies): UploadService {
  const partials = createPartialUploads(driver, { onTakenOver });
  const access = createSessionAccess(driver, sessions);
  const { find, withLock } = access;
  const { commit, linkStored, end } = createUploadEnding({ driver, locks, blobs, partials });

  /** As {@link measureUpload}, of an upload that nobody took over while it was looked at. */
  async function measureHeld(key: UploadKey) {
    for (let attempt = 1; ; attempt += 1) {
      const measured = await measureUpload(driver, key);
      const { session } = measured;
      if (session === undefined || attempt === maxLooks) return measured;
      if ((await ifPresent(driver.stat(session.path))) !== undefined) return measured;
    }
  }

  async function cancel(key: UploadKey, requester: Requester): Promise<void> {
    await withLock(key, requester, async ({ lock }) => {
      const { session, stored } = await readUploadFolder(driver, key);
      if (session === undefined) throw unknownUpload(key.id);
      const digest = stored === undefined ? undefined : await readLink(driver, stored.path);
      const isComplete = digest !== undefined && (await blobs.has(key.repository, digest));
      await end(lock, session.fence);
      // The repository has the blob: what is left of the upload is gone, but it was not cancelled.
      if (isComplete) throw unknownUpload(key.id);
    });
    await pruneUploadFolder(driver, key);
  }

  return {
    chunkMinLength: driver.chunkMinLength ?? 0,

    async start(repository, subject, algorithm = 'sha256', network) {
      const session: UploadSession = {
        id: createUploadId(),
        repository,
        subject,
        network: subject === '' ? network : undefined,
        algorithm,
        startedAt: now(),
        fence: 0,
        offset: 0,
        digest: undefined,
        proof: undefined,
      };
      try {
        await writeSessionFiles(driver, session);
        await sessions.create(session);
        access.add(session);
      } catch (error) {
        // The client never learns of it.
        await driver.remove(paths.upload(repository, session.id)).catch(() => {});
        await pruneUploadFolder(driver, session).catch(() => {});
        throw error;
      }
      return session;
    },

    find,

    async status(key) {
      const found = await find(key);
      const { session, newest, size } = await measureHeld(key);
      if (session === undefined) throw unknownUpload(key.id);
      // What another core adds while it is taken over may be missing in the copy.
      const isCertain =
        newest === undefined ||
        (newest.fence === session.fence &&
          (newest.kind === 'data' || partials.holds(key.id, newest.fence)));
      return { ...found, offset: isCertain ? size : Math.min(found.offset, size) };
    },

    append: (key, chunk, requester = unattended) =>
      withLock(key, requester, (request) =>
        partials.use(request.lock, assertWantedBy(request), (partial) =>
          takeChunk(request, partial, chunk),
        ),
      ),

    complete: (key, digest, chunk, requester = unattended) =>
      withLock(key, requester, async (request) => {
        const hasBody = chunk !== undefined && chunk.length !== 0;
        const { session, stored } = await readUploadFolder(driver, key);
        if (session === undefined) throw unknownUpload(key.id);
        if (stored !== undefined && (await readLink(driver, stored.path)) === digest) {
          if (await blobs.areBytesThere(digest)) {
            if (chunk !== undefined) await discard(chunk.source(request.releaseAsked));
            return await linkStored(request, digest, session.fence);
          }
          // The blob was collected before the repository had it: the bytes must come again.
          if (!hasBody) {
            await end(request.lock, session.fence);
            throw unknownUpload(key.id);
          }
        }
        await partials.use(request.lock, assertWantedBy(request), async (partial) => {
          if (hasBody) await takeChunk(request, partial, chunk);
          await commit(request, partial, digest);
        });
      }),

    cancel: (key, requester = unattended) => cancel(key, requester),

    ...createUploadUpkeep({ driver, partials, access, end, cancel }),
  };
}
