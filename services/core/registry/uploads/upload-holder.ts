import { createHmac, randomBytes } from 'node:crypto';
import type { Digest } from '#libs/oci/digest.ts';
import {
  SessionLostError,
  type UploadProgress,
  type UploadSession,
} from '../../sessions/session-store.ts';
import { ifPresent, type StorageDriver, StorageError } from '../../storage/driver.ts';
import { paths } from '../paths.ts';
import { readAll, writeVolatile } from '../small-files.ts';
import { readUploadFolder, type UploadFolder, type UploadPlace } from './upload-folder.ts';

/** How often somebody else may be faster. */
const attempts = 5;

/** What of a session is written beside its bytes, so that it can be rebuilt from storage. */
export async function writeSessionFiles(
  driver: StorageDriver,
  session: UploadSession,
): Promise<void> {
  const { repository, id, subject, network, algorithm, startedAt } = session;
  // First, and in the original's form: its purge removes an upload by this file's age.
  await writeVolatile(
    driver,
    paths.uploadStartedAt(repository, id),
    startedAt.toISOString().replace(/\.\d+Z$/, 'Z'),
  );
  await writeVolatile(
    driver,
    paths.uploadFile(repository, id, { kind: 'session', fence: 0 }),
    JSON.stringify({ subject, network, algorithm, key: randomBytes(32).toString('base64url') }),
  );
}

/**
 * Proves what a holder notes in the session store, with a key that only the tree has: whoever can write to the store, and not
 * to the tree, cannot pass other bytes off as those of a digest.
 * @returns undefined where there is no key: the upload is of an earlier version, or a power loss took what the file had
 */
export async function openProver(
  driver: StorageDriver,
  { repository, id }: UploadPlace,
  fence: number,
): Promise<((progress: Omit<UploadProgress, 'proof'>) => string) | undefined> {
  const path = paths.uploadFile(repository, id, { kind: 'session', fence });
  const key = parseKey((await readAll(driver, path)).toString('utf8'));
  if (key === undefined) return undefined;
  return ({ fence: of, offset, digest }) =>
    createHmac('sha256', key).update(`${id} ${of} ${offset} ${digest}`).digest('base64url');
}

function parseKey(text: string): string | undefined {
  try {
    const { key } = JSON.parse(text) as { key?: unknown };
    return typeof key === 'string' && key !== '' ? key : undefined;
  } catch {
    return undefined;
  }
}

/** An upload that the caller holds, and what was in its folder then. */
export interface HeldUpload extends UploadFolder {
  /** A number that nobody else has, or ever had. */
  fence: number;
  /** Whether somebody held it before. */
  wasHeld: boolean;
}

/**
 * Makes the caller the holder of an upload, under a new number. Whoever held it until now acknowledges and ends nothing any
 * more; what it acknowledged before is in the folder that is returned.
 * @throws StorageError not-found if there is no such upload of ours; SessionLostError if others take it over
 */
export async function takeOver(driver: StorageDriver, place: UploadPlace): Promise<HeldUpload> {
  const { repository, id } = place;
  for (let attempt = 1; attempt <= attempts; attempt += 1) {
    const { session, highestFence } = await readUploadFolder(driver, place);
    if (session === undefined) throw new StorageError('not-found', paths.upload(repository, id));
    const fence = highestFence + 1;
    const ours = paths.uploadFile(repository, id, { kind: 'session', fence });
    if (!(await renameIfPresent(driver, session.path, ours))) continue;
    const wasHeld = session.fence > 0;
    const folder = await readSettled(driver, place, wasHeld);
    if (folder.session?.fence === fence) return { ...folder, fence, wasHeld };
  }
  throw new SessionLostError();
}

/**
 * The folder of an upload whose former holder may just be giving its file another name, for the last time: a listing that
 * missed it would show a leftover of an earlier one instead. Two that agree have missed nothing.
 */
async function readSettled(
  driver: StorageDriver,
  place: UploadPlace,
  mayHaveBytes: boolean,
): Promise<UploadFolder> {
  let folder = await readUploadFolder(driver, place, { mayHaveBytes });
  for (let look = 1; mayHaveBytes && look <= attempts; look += 1) {
    const again = await readUploadFolder(driver, place, { mayHaveBytes });
    const isSame =
      again.newest?.path === folder.newest?.path && again.stored?.path === folder.stored?.path;
    folder = again;
    if (isSame) break;
  }
  return folder;
}

/**
 * Ends an upload and removes what it left in storage. After a crash in the middle the rest is the purge's.
 * @param fence the number of its holder; 0 for none
 * @throws SessionLostError if another one holds it by now
 */
export async function endUpload(
  driver: StorageDriver,
  { repository, id }: UploadPlace,
  fence: number,
): Promise<void> {
  const ours = paths.uploadFile(repository, id, { kind: 'session', fence });
  const ended = paths.uploadFile(repository, id, { kind: 'ended', fence });
  if (!(await renameIfPresent(driver, ours, ended))) {
    throw new SessionLostError();
  }
  await driver.remove(paths.upload(repository, id));
}

/** @returns false if there is nothing by the first name */
async function renameIfPresent(
  driver: StorageDriver,
  ...[from, to]: Parameters<StorageDriver['rename']>
): Promise<boolean> {
  return (await ifPresent(driver.rename(from, to).then(() => true))) ?? false;
}

/**
 * Notes that the holder's bytes were found to have a digest, before they are moved away to be a blob: so that the
 * repository can be given the blob later, if that fails now.
 */
export async function noteStored(
  driver: StorageDriver,
  { repository, id }: UploadPlace,
  fence: number,
  digest: Digest,
): Promise<void> {
  const path = paths.uploadFile(repository, id, { kind: 'stored', fence });
  try {
    await writeVolatile(driver, path, digest);
  } catch (error) {
    if (!(error instanceof StorageError) || error.code !== 'exists') throw error;
    // From an attempt that failed before the bytes were moved.
    await driver.remove(path);
    await writeVolatile(driver, path, digest);
  }
}
