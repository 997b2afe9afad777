import type { RepositoryName } from '#libs/oci/reference.ts';
import type { UploadId } from '#libs/oci/upload-id.ts';
import type { UploadSession } from '../../sessions/session-store.ts';
import {
  ifPresent,
  type StorageDriver,
  StorageError,
  type StoragePath,
} from '../../storage/driver.ts';
import { parseUploadFile, paths } from '../paths.ts';
import { readAll, writeVolatile } from '../small-files.ts';

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

/** What the files of an upload tell about its holders. */
export interface HolderFiles {
  /** The highest number a holder ever took, also one whose take-over was not finished; 0 for none. */
  highestFence: number;
  /** The file of the newest holder that has all the bytes; undefined if nobody wrote yet. */
  newest: HolderFile | undefined;
}

export interface HolderFile {
  fence: number;
  path: StoragePath;
  /** Its holder may be writing to it, or died while it did. */
  open: boolean;
}

export async function readHolderFiles(
  driver: StorageDriver,
  repository: RepositoryName,
  id: UploadId,
): Promise<HolderFiles> {
  const found: HolderFiles = { highestFence: 0, newest: undefined };
  for (const name of await driver.list(paths.upload(repository, id))) {
    const file = parseUploadFile(name);
    if (file === undefined) continue;
    const { fence, kind } = file;
    found.highestFence = Math.max(found.highestFence, fence);
    if (kind === 'copy' || fence < (found.newest?.fence ?? 0)) continue;
    const open = kind === 'open';
    const path = (open ? paths.uploadOpen : paths.uploadData)(repository, id, fence);
    found.newest = { fence, path, open };
  }
  return found;
}

/** How often a file is looked for that gets another name at the same time. */
const attempts = 5;

/** The size of what the newest holder has; 0 if nobody wrote yet. */
async function sizeOfNewest(
  driver: StorageDriver,
  repository: RepositoryName,
  id: UploadId,
): Promise<{ highestFence: number; size: number }> {
  for (let attempt = 1; ; attempt += 1) {
    const { highestFence, newest } = await readHolderFiles(driver, repository, id);
    if (newest === undefined) return { highestFence, size: 0 };
    const found = await ifPresent(driver.stat(newest.path));
    if (found !== undefined) return { highestFence, size: found.size };
    if (attempt === attempts) throw new StorageError('failed', newest.path);
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
  const { highestFence, size } = await sizeOfNewest(driver, repository, id);
  return {
    id,
    repository,
    ...about,
    startedAt: new Date(startedAt.toString('utf8')),
    holder: undefined,
    fence: highestFence,
    offset: size,
    digest: undefined,
    writer: undefined,
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
