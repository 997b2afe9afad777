import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, link, lstat, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type FileLock, lockFile } from './file-lock.ts';
import { makeFolders } from './make-folders.ts';
import { isWritableByAll, isWritableByGroup } from './path-trust.ts';
import { assertRegular } from './read-text.ts';
import { syncFolder } from './sync-folder.ts';

/**
 * Replaces a small file by what `edit` makes of it, one at a time: a reader sees the old text or the new one, and
 * of two editors none loses what it wrote. A new file is for its owner alone, and belongs to whom the folder belongs;
 * one that there was could not be given to another user and mode. What programs write that know nothing of our lock is looked for
 * directly before the file is replaced, and then the edit begins anew.
 * @param edit gets the text, undefined if there is none; gives the new one; may be asked more than once
 * @throws Error if somebody else holds the file for too long; whatever `edit` throws
 */
export async function editFile(
  path: string,
  edit: (text: string | undefined) => string | Promise<string>,
): Promise<void> {
  await makeFolders(dirname(path));
  const target = (await mayBeLedAstray(path)) ? path : await whereItLeads(path);
  while (!(await editOnce(target, edit)));
}

/** Whether others may lay a link at any moment that root would follow. */
async function mayBeLedAstray(path: string): Promise<boolean> {
  if (process.getuid?.() !== 0) return false;
  const folder = await stat(dirname(path));
  return isWritableByAll(folder) || isWritableByGroup(folder);
}

async function whereItLeads(path: string): Promise<string> {
  return await realpath(path).catch((error: NodeJS.ErrnoException) => {
    // A link that leads where this user may not look is not replaced by a file either.
    if (error.code !== 'ENOENT') throw error;
    return path;
  });
}

/** @returns false if somebody else changed the file meanwhile, and nothing was done */
async function editOnce(
  target: string,
  edit: (text: string | undefined) => string | Promise<string>,
): Promise<boolean> {
  const lock = await lockFile(target);
  try {
    const { text, state } = await read(target);
    return await replace(target, await edit(text), state, lock);
  } finally {
    await lock.release();
  }
}

/** @throws Error for a link: what it leads to was to be named, or is whatever somebody laid there meanwhile */
async function read(target: string): Promise<{ text?: string; state?: FileState }> {
  let file: FileHandle;
  try {
    file = await open(target, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return {};
    if (code !== 'ELOOP') throw error;
    throw new Error(
      `${target} is a link that leads nowhere, or that others could have laid; name the file that it is to lead to`,
      { cause: error },
    );
  }
  try {
    const state = await assertRegular(file, target);
    return { text: await file.readFile('utf8'), state };
  } finally {
    await file.close();
  }
}

interface FileState {
  uid: number;
  gid: number;
  mode: number;
  ino: number;
  size: number;
  mtimeMs: number;
}

async function replace(
  target: string,
  text: string,
  before: FileState | undefined,
  lock: FileLock,
): Promise<boolean> {
  const mode = before === undefined ? 0o600 : before.mode & 0o777;
  // Root may type for the user who serves.
  const owner = before ?? (await stat(dirname(target)));
  const temporary = `${target}.${randomUUID()}.tmp`;
  let keepsOwner = true;
  try {
    // Nobody's link is followed, and nobody's file is taken.
    const handle = await open(temporary, 'wx', 0o600);
    try {
      if (process.getuid?.() === 0 || before !== undefined) {
        keepsOwner = await isGiven(handle, owner);
      }
      if (keepsOwner) await handle.chmod(mode);
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    const now = await lstat(target).catch(() => undefined);
    if (!isSame(before, now) || !(await lock.isHeld())) {
      await rm(temporary, { force: true });
      return false;
    }
    if (keepsOwner) {
      await rename(temporary, target);
    } else {
      await writeInPlace(target, text, before, temporary);
      await rm(temporary);
    }
    await syncFolder(dirname(target));
    return true;
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** @returns false where this user may not give a file to that owner, or group */
async function isGiven(
  handle: FileHandle,
  { uid, gid }: Pick<FileState, 'uid' | 'gid'>,
): Promise<boolean> {
  try {
    await handle.chown(uid, gid);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') throw error;
    return false;
  }
}

/**
 * Writes to the file itself, which keeps its owner and group where this user cannot give a new one to them. Who reads it at that
 * moment may see a part; the whole is beside it until it is written.
 */
async function writeInPlace(
  target: string,
  text: string,
  before: FileState | undefined,
  whole: string,
): Promise<void> {
  const handle = await openToWrite(target, before);
  try {
    await handle.writeFile(text);
    await handle.truncate(Buffer.byteLength(text));
    await handle.sync();
  } catch (error) {
    // The other name stays when the file beside it is removed.
    await link(whole, `${target}.new`).catch(() => {});
    throw new Error(
      `${target} could be written in part only (${(error as Error).message}); the whole is ${target}.new`,
      { cause: error },
    );
  } finally {
    await handle.close();
  }
}

/** @throws Error with one clear sentence where this user may not write to the file, or it is another one by now */
async function openToWrite(target: string, before: FileState | undefined): Promise<FileHandle> {
  const handle = await open(target, constants.O_WRONLY | constants.O_NOFOLLOW).catch(
    explainOwner(target, before),
  );
  if ((await handle.stat()).ino === before?.ino) return handle;
  await handle.close();
  throw new Error(`${target} was replaced meanwhile; nothing was changed`);
}

/** @throws Error with one clear sentence for a file that this user may not write to */
function explainOwner(path: string, before: FileState | undefined) {
  return (error: NodeJS.ErrnoException): never => {
    if (error.code !== 'EACCES') throw error;
    throw new Error(
      `${path} belongs to ${before?.uid}:${before?.gid}, and this user may not write to it; run it as that user, or as root`,
      { cause: error },
    );
  };
}

function isSame(one: FileState | undefined, other: FileState | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  return one.ino === other.ino && one.size === other.size && one.mtimeMs === other.mtimeMs;
}
