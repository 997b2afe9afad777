import { constants, type Stats } from 'node:fs';
import { type FileHandle, lchown, lstat, mkdir, open, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { UserIds } from '#libs/config/sections/user.ts';
import { makeFolders } from '../files/make-folders.ts';
import {
  isSticky,
  isWritableByAll,
  isWritableByGroup,
  type PathStep,
  walkTo,
} from '../files/path-trust.ts';
import { FolderOwnerError } from './socket-folder.ts';

/*
 * What root gives to the user who serves. Root works only where nobody but root can exchange a folder or lay a link
 * on the way: elsewhere the user can make what it needs itself.
 */

/**
 * Gives a folder that only our user may enter to the one who serves; it is made if it is not there.
 * @throws FolderOwnerError if it is somebody else's
 */
export async function chownFolder(path: string, { uid, gid }: UserIds): Promise<void> {
  const folder = await inRootsHands(path);
  if (folder === undefined) return;
  await makeFolders(dirname(folder), 0o755);
  await mkdir(folder, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error;
  });
  const handle = await openFolder(folder);
  try {
    const found = await handle?.stat();
    if (handle === undefined || found === undefined || (found.uid !== 0 && found.uid !== uid)) {
      throw new FolderOwnerError(folder);
    }
    if (found.uid === 0) await handle.chown(uid, gid);
  } finally {
    await handle?.close();
  }
}

/**
 * Gives a folder of ours to the user, if it is root's and holds nothing but what we make: what is in a folder of
 * root's only root has put there. One that is the user's already is left alone.
 */
export async function chownState(
  path: string,
  names: readonly string[],
  { uid, gid }: UserIds,
): Promise<void> {
  const folder = await inRootsHands(path);
  if (folder === undefined) return;
  await makeFolders(folder, 0o700).catch(() => {});
  const handle = await openFolder(folder);
  try {
    // Where others may make or exchange what is in it, it is no longer root's to say whose that is.
    if (handle === undefined || !isRootsFolder(await handle.stat())) return;
    // What a crash left beside a file of ours, a lock or half of another text, is ours, too.
    const isOurs = (name: string) =>
      names.some((one) => name === one || name.startsWith(`${one}.`));
    const strangers = (await readdir(folder)).filter((name) => !isOurs(name));
    if (strangers.length > 0) return;
    for (const name of names) await giveTree(`${contentOf(handle)}/${name}`, { uid, gid });
    await handle.chown(uid, gid);
  } catch {
    // A read-only mount: it is read as it is.
  } finally {
    await handle?.close();
  }
}

/** A file, or a folder with the files in it. */
async function giveTree(path: string, { uid, gid }: UserIds): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined || found.uid !== 0 || found.isSymbolicLink()) return;
  if (!found.isDirectory()) return await lchown(path, uid, gid);
  const handle = await openFolder(path);
  if (handle === undefined) return;
  try {
    const content = contentOf(handle);
    for (const name of await readdir(content)) await lchown(`${content}/${name}`, uid, gid);
    await handle.chown(uid, gid);
  } finally {
    await handle.close();
  }
}

/** The way to what is in an open folder (proc(5)), wherever that is by now. */
const contentOf = ({ fd }: FileHandle) => `/proc/self/fd/${fd}`;

/** Gives a file of root's to the user; it is made if it is not there. */
export async function chownFile(given: string, { uid, gid }: UserIds): Promise<void> {
  const path = await inRootsHands(given);
  if (path === undefined) return;
  const { O_CREAT, O_NOFOLLOW, O_WRONLY, O_APPEND } = constants;
  const handle = await open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0o640).catch(
    () => undefined,
  );
  try {
    const found = await handle?.stat();
    if (found?.isFile() && found.uid === 0 && found.nlink === 1) await handle?.chown(uid, gid);
  } finally {
    await handle?.close();
  }
}

/** @returns undefined for what is no folder, or a link to one */
export async function openFolder(path: string): Promise<FileHandle | undefined> {
  const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
  return await open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW).catch(() => undefined);
}

/**
 * The path, without links on the way, if nobody but root can put something else in its place: every folder above it is
 * root's and nobody else may write to it, and so is what every link on the way leads to. In a sticky folder, such as
 * /tmp, nobody can take away what is root's.
 * @param path neither it nor the folders above it need be there
 * @returns undefined if somebody else can
 */
async function inRootsHands(path: string): Promise<string | undefined> {
  const { steps, end } = await walkTo(dirname(path));
  const isRoots = ({ stats }: PathStep) =>
    stats.isSymbolicLink() ? stats.uid === 0 : isRootsFolder(stats);
  const top = { place: '/', stats: await lstat('/') };
  return end !== undefined && [top, ...steps].every(isRoots)
    ? join(end, basename(path))
    : undefined;
}

/** Whether it is root's, and nobody else may exchange what is in it. */
function isRootsFolder(found: Stats): boolean {
  const writable = isWritableByAll(found) || (isWritableByGroup(found) && found.gid !== 0);
  return found.isDirectory() && found.uid === 0 && (!writable || isSticky(found));
}
