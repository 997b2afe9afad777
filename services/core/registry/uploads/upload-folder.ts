import { setTimeout as sleep } from 'node:timers/promises';
import type { RepositoryName } from '#libs/oci/reference.ts';
import type { UploadId } from '#libs/oci/upload-id.ts';
import type { UploadSession } from '../../sessions/session-store.ts';
import {
  ifPresent,
  type StorageDriver,
  StorageError,
  type StoragePath,
} from '../../storage/driver.ts';
import { findBytes } from '../find-stored.ts';
import { createTrash } from '../garbage/trash.ts';
import { maxLooks } from '../looks.ts';
import { parseUploadFile, paths, type UploadFile } from '../paths.ts';
import { readAll, readLink } from '../small-files.ts';

/** Which upload's folder is meant. */
export type UploadPlace = Pick<UploadSession, 'repository' | 'id'>;

/** A file in an upload's folder. */
export interface FolderFile extends UploadFile {
  path: StoragePath;
}

/** What an upload's folder tells (docs/adr/0014). */
export interface UploadFolder {
  /** Names who holds the upload; undefined where it is none of ours, or over. */
  session: FolderFile | undefined;
  /** The highest number that any file has; 0 for none. */
  highestFence: number;
  /** The file with all bytes that arrived; undefined if there are none, or they were moved to be a blob. */
  newest: FolderFile | undefined;
  /** Tells which blob the bytes were moved to be; undefined if they were not. */
  stored: FolderFile | undefined;
}

/** Milliseconds between two of them. */
const betweenLooks = 5;

/**
 * Looks through an upload's folder. While a file gets another name a listing may show neither the old nor the
 * new one, so a folder that lacks one is looked at again.
 * @param mayHaveBytes whether somebody may have written; by default whether somebody holds it
 */
export async function readUploadFolder(
  driver: StorageDriver,
  { repository, id }: UploadPlace,
  { mayHaveBytes }: { mayHaveBytes?: boolean } = {},
): Promise<UploadFolder> {
  for (let look = 1; ; look += 1) {
    const names = await driver.list(paths.upload(repository, id));
    const found = parseFolder(paths.upload(repository, id), names);
    const { session, newest, stored } = found;
    const isExpected = mayHaveBytes ?? (session !== undefined && session.fence > 0);
    const isWhole =
      session === undefined
        ? names.length === 0
        : newest !== undefined || stored !== undefined || !isExpected;
    if (isWhole || look === maxLooks) return found;
    await sleep(betweenLooks);
  }
}

function parseFolder(folder: StoragePath, names: readonly string[]): UploadFolder {
  const highest: Partial<Record<'session' | 'bytes' | 'stored', FolderFile>> = {};
  let highestFence = 0;
  for (const name of names) {
    const file = parseUploadFile(name);
    if (file === undefined) continue;
    highestFence = Math.max(highestFence, file.fence);
    if (file.kind === 'copy' || file.kind === 'ended') continue;
    const is = file.kind === 'data' || file.kind === 'open' ? 'bytes' : file.kind;
    if (file.fence < (highest[is]?.fence ?? 0)) continue;
    highest[is] = { ...file, path: paths.below(folder, name) };
  }
  const { session, bytes, stored } = highest;
  // Of the same number, the bytes are about to be moved; of a lower one, they were left over.
  const wasMoved = stored !== undefined && (bytes === undefined || bytes.fence < stored.fence);
  return {
    session,
    highestFence,
    newest: wasMoved ? undefined : bytes,
    stored: wasMoved ? stored : undefined,
  };
}

/**
 * How many bytes of an upload arrived: all that its newest file has, also while more are written to it; or those of the blob
 * that they became, if the repository has yet to be given it.
 */
export async function measureUpload(
  driver: StorageDriver,
  place: UploadPlace,
): Promise<UploadFolder & { size: number }> {
  for (let attempt = 1; ; attempt += 1) {
    const folder = await readUploadFolder(driver, place);
    const { newest, stored } = folder;
    if (newest === undefined) {
      const blob = stored === undefined ? undefined : await findStored(driver, stored);
      return { ...folder, size: blob?.size ?? 0 };
    }
    const info = await ifPresent(driver.stat(newest.path));
    if (info !== undefined) {
      return { ...folder, size: Math.min(newest.size ?? Infinity, info.size) };
    }
    // It got another name in between.
    if (attempt === maxLooks) throw unstable(place);
  }
}

/** Nothing stays of a repository that was never pushed to. */
export async function pruneUploadFolder(
  driver: StorageDriver,
  { repository, id }: UploadPlace,
): Promise<void> {
  await driver.prune?.(paths.upload(repository, id), paths.repositories);
}

/** The blob that an upload's bytes were moved to be, also from the trash; undefined if there is none. */
export async function findStored(
  driver: StorageDriver,
  stored: FolderFile,
): Promise<{ path: StoragePath; size: number } | undefined> {
  const digest = await readLink(driver, stored.path);
  return digest === undefined ? undefined : await findBytes(driver, createTrash(driver), digest);
}

/**
 * Rebuilds a session that the session store does not know, as after a restart. The newest file tells how far it
 * got; its digest must be computed by whoever goes on.
 * @returns undefined if storage has no such upload of ours
 */
export async function recoverSession(
  driver: StorageDriver,
  repository: RepositoryName,
  id: UploadId,
): Promise<UploadSession | undefined> {
  for (let attempt = 1; ; attempt += 1) {
    const { session, newest, size } = await measureUpload(driver, { repository, id });
    if (session === undefined) return undefined;
    const [owner, startedAt] = await Promise.all([
      ifPresent(readAll(driver, session.path)),
      ifPresent(readAll(driver, paths.uploadStartedAt(repository, id))),
    ]);
    if (startedAt === undefined) return undefined;
    if (owner !== undefined) {
      const about = parseOwner(owner.toString('utf8'));
      if (about === undefined) return undefined;
      return {
        id,
        repository,
        ...about,
        startedAt: new Date(startedAt.toString('utf8')),
        fence: newest?.fence ?? 0,
        offset: size,
        digest: undefined,
        proof: undefined,
      };
    }
    // Somebody took it over in between.
    if (attempt === maxLooks) throw unstable({ repository, id });
  }
}

function parseOwner(
  text: string,
): Pick<UploadSession, 'subject' | 'network' | 'algorithm'> | undefined {
  try {
    const { subject, network, algorithm } = JSON.parse(text) as Record<string, unknown>;
    if (typeof subject !== 'string') return undefined;
    if (algorithm !== 'sha256' && algorithm !== 'sha512') return undefined;
    return { subject, network: typeof network === 'string' ? network : undefined, algorithm };
  } catch {
    return undefined;
  }
}

function unstable({ repository, id }: UploadPlace): StorageError {
  return new StorageError('failed', paths.upload(repository, id), {
    message: `the files of upload ${id} change faster than they can be read`,
  });
}
