import { setTimeout as sleep } from 'node:timers/promises';
import type { Digest } from '#libs/oci/digest.ts';
import type { RepositoryName } from '#libs/oci/reference.ts';
import type { UploadId } from '#libs/oci/upload-id.ts';
import type { UploadSession } from '../../sessions/session-store.ts';
import {
  ifPresent,
  type StorageDriver,
  StorageError,
  type StoragePath,
} from '../../storage/driver.ts';
import { createTrash, findBytes } from '../garbage/trash.ts';
import { parseUploadFile, paths, type UploadFile } from '../paths.ts';
import { readAll, readLink, writeVolatile } from '../small-files.ts';

/** What of a session is written beside its bytes, so that it can be rebuilt from storage. */
export async function writeSessionFiles(
  driver: StorageDriver,
  session: UploadSession,
): Promise<void> {
  const { repository, id, subject, algorithm, startedAt } = session;
  // First, and in the original's form: its purge removes an upload by this file's age.
  await writeVolatile(
    driver,
    paths.uploadStartedAt(repository, id),
    startedAt.toISOString().replace(/\.\d+Z$/, 'Z'),
  );
  await writeVolatile(
    driver,
    paths.uploadSession(repository, id),
    JSON.stringify({ subject, algorithm }),
  );
}

/** A file of one holder, which has all the bytes that had arrived when it was made. */
export interface HolderFile extends UploadFile {
  path: StoragePath;
}

/** What an upload's folder tells. */
export interface UploadFolder {
  /** False where there is no session of ours, as when the original registry's purge removed the folder. */
  isOurs: boolean;
  /** The highest number a holder ever took, also one whose take-over was not finished; 0 for none. */
  highestFence: number;
  /** The file of the newest holder that has all the bytes; undefined if nothing arrived yet. */
  newest: HolderFile | undefined;
  /** True if its bytes were moved to be a blob ({@link noteStored}), or were about to be. */
  isStored: boolean;
}

/** How often a folder is listed in which a file may get another name at the same time. */
const looks = 5;
/** Milliseconds between two of them. */
const betweenLooks = 5;

/**
 * Looks through an upload's folder. While a file gets another name a listing may show neither the old nor the
 * new one, so a folder without any is looked at again.
 * @param hasBytes whether bytes are known to have arrived
 */
export async function readUploadFolder(
  driver: StorageDriver,
  repository: RepositoryName,
  id: UploadId,
  { hasBytes }: { hasBytes: boolean },
): Promise<UploadFolder> {
  const folder = paths.upload(repository, id);
  for (let look = 1; ; look += 1) {
    const found: UploadFolder = {
      ...{ isOurs: false, highestFence: 0, newest: undefined, isStored: false },
    };
    for (const name of await driver.list(folder)) {
      const path = paths.below(folder, name);
      found.isOurs ||= path === paths.uploadSession(repository, id);
      found.isStored ||= path === paths.uploadStored(repository, id);
      const file = parseUploadFile(name);
      if (file === undefined) continue;
      found.highestFence = Math.max(found.highestFence, file.fence);
      if (file.kind === 'copy' || file.fence < (found.newest?.fence ?? 0)) continue;
      found.newest = { ...file, path };
    }
    if (found.newest !== undefined || !hasBytes || !found.isOurs || look === looks) return found;
    await sleep(betweenLooks);
  }
}

/**
 * How many bytes of an upload arrived: all that its newest holder has, also while that writes more; or those of the blob that
 * they became, if the repository has yet to be given it.
 */
export async function measureUpload(
  driver: StorageDriver,
  repository: RepositoryName,
  id: UploadId,
  { hasBytes }: { hasBytes: boolean },
): Promise<UploadFolder & { size: number }> {
  for (let attempt = 1; ; attempt += 1) {
    const folder = await readUploadFolder(driver, repository, id, { hasBytes });
    if (folder.newest === undefined) {
      const stored = folder.isStored ? await findStored(driver, { repository, id }) : undefined;
      return { ...folder, size: stored?.size ?? 0 };
    }
    const { size = Infinity, path } = folder.newest;
    const info = await ifPresent(driver.stat(path));
    if (info !== undefined) return { ...folder, size: Math.min(size, info.size) };
    // It got another name in between.
    if (attempt === looks) throw new StorageError('failed', folder.newest.path);
  }
}

/**
 * Rebuilds a session that the session store does not know, as after a restart. The newest holder's
 * file tells how far it got; its digest must be computed by whoever goes on.
 * @returns undefined if storage has no such upload of ours
 */
export async function recoverSession(
  driver: StorageDriver,
  repository: RepositoryName,
  id: UploadId,
): Promise<UploadSession | undefined> {
  const [owner, startedAt] = await Promise.all([
    ifPresent(readAll(driver, paths.uploadSession(repository, id))),
    ifPresent(readAll(driver, paths.uploadStartedAt(repository, id))),
  ]);
  const about = owner === undefined ? undefined : parseOwner(owner.toString('utf8'));
  if (about === undefined || startedAt === undefined) return undefined;
  const options = { hasBytes: true };
  const { highestFence, size } = await measureUpload(driver, repository, id, options);
  return {
    id,
    repository,
    ...about,
    startedAt: new Date(startedAt.toString('utf8')),
    holder: undefined,
    fence: highestFence,
    offset: size,
    digest: undefined,
  };
}

function parseOwner(text: string): Pick<UploadSession, 'subject' | 'algorithm'> | undefined {
  try {
    const { subject, algorithm } = JSON.parse(text) as Record<string, unknown>;
    if (typeof subject !== 'string') return undefined;
    if (algorithm !== 'sha256' && algorithm !== 'sha512') return undefined;
    return { subject, algorithm };
  } catch {
    return undefined;
  }
}

/** Whether an upload has no byte, and nobody is about to write one, here or at another core. */
export async function isUnwritten(
  driver: StorageDriver,
  repository: RepositoryName,
  id: UploadId,
): Promise<boolean> {
  const { newest } = await readUploadFolder(driver, repository, id, { hasBytes: false });
  if (newest === undefined) return true;
  if (newest.kind !== 'data') return false;
  return (await ifPresent(driver.stat(newest.path)))?.size === 0;
}

/**
 * Notes that an upload's bytes were found to have a digest, before they are moved away to be a blob: so that the
 * repository can be given the blob later, if that fails now.
 */
export async function noteStored(
  driver: StorageDriver,
  { repository, id }: UploadSession,
  digest: Digest,
): Promise<void> {
  try {
    await writeVolatile(driver, paths.uploadStored(repository, id), digest);
  } catch (error) {
    // From an attempt that failed before they were moved.
    if (!(error instanceof StorageError) || error.code !== 'exists') throw error;
    await driver.remove(paths.uploadStored(repository, id));
    await writeVolatile(driver, paths.uploadStored(repository, id), digest);
  }
}

/** The blob that an upload's bytes were moved to be, also from the trash; undefined if there is none. */
export async function findStored(
  driver: StorageDriver,
  { repository, id }: Pick<UploadSession, 'repository' | 'id'>,
): Promise<{ path: StoragePath; size: number } | undefined> {
  const digest = await readLink(driver, paths.uploadStored(repository, id));
  return digest === undefined ? undefined : await findBytes(driver, createTrash(driver), digest);
}

/** Whether an upload's bytes were moved to be the blob of this digest, and the repository has yet to be given it. */
export async function wasMoved(
  driver: StorageDriver,
  { repository, id }: UploadSession,
  digest: Digest,
): Promise<boolean> {
  if ((await readLink(driver, paths.uploadStored(repository, id))) !== digest) return false;
  return (await readUploadFolder(driver, repository, id, { hasBytes: false })).newest === undefined;
}

/**
 * Removes an upload. First the file that makes it one: without it nobody goes on with the others. Those of a newer holder,
 * who took it over meanwhile, stay.
 * @param confirm called directly before that
 */
export async function removeUpload(
  driver: StorageDriver,
  { repository, id, fence }: Pick<UploadSession, 'repository' | 'id' | 'fence'>,
  confirm: () => Promise<void>,
): Promise<void> {
  await driver.remove(paths.uploadSession(repository, id), { confirm });
  const folder = paths.upload(repository, id);
  for (const name of await driver.list(folder)) {
    const file = parseUploadFile(name);
    if (file === undefined || file.fence <= fence) await driver.remove(paths.below(folder, name));
  }
  await driver.prune?.(folder);
}
