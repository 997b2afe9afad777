import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { UserIds } from '#libs/config/sections/user.ts';
import { howToMakeWritable } from '#libs/files/make-writable.ts';
import { walkTo } from '#libs/files/path-trust.ts';
import { shellWord } from '#libs/values/shell-word.ts';
import { treeFolder } from '#libs/values/storage-tree.ts';
import { findClosedFolder, howToLetEnter, isAllowed, letEnter } from './permissions-of.ts';

/**
 * Makes sure that who is to serve may write to a tree, or make it.
 * @param key that names the tree, for the error
 * @param as the other user as whom root will serve
 * @throws Error with one clear sentence
 */
export async function assertWritable(
  key: string,
  root: string,
  as: UserIds | undefined,
): Promise<void> {
  const who = as === undefined ? 'this user' : `user ${as.uid} (portcullis.user)`;
  const tree = join(root, treeFolder);
  for (let place = tree; ; place = dirname(place)) {
    const code = await whyNotWritable(place, as);
    if (code === 'ENOENT' && place !== dirname(place)) continue;
    // What is there is served where nothing can be written.
    if (code === 'EROFS' && place !== tree) {
      throw new Error(
        `${key}: ${root}: the filesystem is read-only; name a folder that can be written to`,
      );
    }
    if (code !== 'EACCES') return;
    const isThere = place.startsWith(resolve(root));
    const what = isThere
      ? `${place} is not writable by ${who}`
      : `${root} does not exist, and ${who} may not make it`;
    const closed = await findClosedFolder(as, place);
    const top = (await walkTo(root)).end ?? resolve(root);
    // What is in the root directory is to be theirs; what leads to it they need only enter.
    const isLetIn = closed?.who === 'u' || !`${closed?.place ?? top}/`.startsWith(`${top}/`);
    const remedy =
      closed !== undefined && isLetIn
        ? letEnter(closed)
        : await howToOpen(place, root, { isThere, as });
    // Of this user it may be said that another one is to serve; that one is who is named.
    const cause = as === undefined ? Object.assign(new Error(code), { code }) : undefined;
    throw new Error(`${key}: ${what}; ${remedy}`, { cause });
  }
}

/**
 * Makes sure that another user can write to a folder which root will make for them, or give to them.
 * @throws Error with one clear sentence
 */
export async function assertGivable(key: string, folder: string, as: UserIds): Promise<void> {
  const entry = (await howToLetEnter(as, folder)) ?? (await howToOpenEmpty(folder));
  if (entry === undefined) return;
  throw new Error(
    `${key}: user ${as.uid}, who will serve (portcullis.user), could not write to ${folder}; ${entry}`,
  );
}

/** Its new owner has the rights that its owner has. */
async function howToOpenEmpty(folder: string): Promise<string | undefined> {
  const mode = await stat(folder).then(
    (found) => found.mode,
    () => 0o700,
  );
  return (mode & 0o700) === 0o700 ? undefined : `chmod u+rwx ${shellWord(folder)}`;
}

/** What lets something be made in a folder: its owner has taken the right from themselves, or another one is meant. */
async function howToOpen(
  place: string,
  root: string,
  how: { isThere: boolean; as: UserIds | undefined },
): Promise<string> {
  const owner = await stat(place).then(
    ({ uid }) => uid,
    () => undefined,
  );
  const isOwn = how.isThere && owner === (how.as?.uid ?? process.getuid?.());
  return isOwn ? `chmod u+rwx ${shellWord(place)}` : howToMakeWritable(root, how);
}

/** The system's code for why nothing can be made in a folder; undefined where it can. */
async function whyNotWritable(
  folder: string,
  as: UserIds | undefined,
): Promise<string | undefined> {
  const code = await access(folder, constants.W_OK | constants.X_OK).then(
    () => undefined,
    (error: NodeJS.ErrnoException) => error.code,
  );
  // What this user may not, the other one may.
  if (as === undefined || (code !== undefined && code !== 'EACCES')) return code;
  return (await isAllowed(as, ['-w', '-x'], folder)) ? undefined : 'EACCES';
}
