import type { Stats } from 'node:fs';
import type { UserIds } from '#libs/config/sections/user.ts';
import { sudoGroup, sudoUser } from '#libs/config/sudo.ts';
import { isSticky, isWritableByAll, isWritableByGroup, walkTo } from '#libs/files/path-trust.ts';

/**
 * Who decides where a path leads: the first owner of a folder or symbolic link on the way that is neither root nor the
 * user for whom root acts (sudo). Whatever root did there by this path, that user could have it do to another file.
 * @returns undefined if that is nobody, also where the path ends on the way
 */
export async function controllerOf(path: string): Promise<UserIds | undefined> {
  let isOpen = false;
  for (const { stats } of (await walkTo(path)).steps) {
    const leads = stats.isDirectory() || stats.isSymbolicLink();
    // Whose a file is, root leaves as it is, unless that user may put a link in its place.
    if (!isTrusted(stats) && (leads || isOpen)) return { uid: stats.uid, gid: stats.gid };
    if (!stats.isSymbolicLink()) isOpen = isWritableByAll(stats);
  }
  return undefined;
}

/** Whose is the first symbolic link on the way to a path that is neither root's nor that of the user for whom root acts. */
export async function linkerTo(path: string): Promise<UserIds | undefined> {
  for (const { stats } of (await walkTo(path)).steps) {
    if (stats.isSymbolicLink() && !isTrusted(stats)) return { uid: stats.uid, gid: stats.gid };
  }
  return undefined;
}

/**
 * Makes sure that root makes nothing by a link that somebody else has laid.
 * @param setting that names the path, for the error
 * @throws Error with one clear sentence
 */
export async function assertNoLinkOfOthers(path: string, setting: string): Promise<void> {
  const linker = process.getuid?.() === 0 ? await linkerTo(path) : undefined;
  if (linker === undefined) return;
  throw new Error(
    `${setting}: ${path} is reached by a link of user ${linker.uid}, which root does not follow; name the place that it leads to`,
  );
}

/**
 * Whether others than root, and the user for whom it acts, could change what a file says: by its own permissions, or by those of what leads
 * there.
 * @returns what it is that they may change; undefined if there is nothing
 */
export async function changeableByOthers(path: string): Promise<string | undefined> {
  for (const { place, stats } of (await walkTo(path)).steps) {
    if (!isTrusted(stats)) return place;
    if (stats.isSymbolicLink()) continue;
    const isWritable =
      isWritableByAll(stats) || (isWritableByGroup(stats) && !isTrustedGroup(stats));
    if (isWritable && !(stats.isDirectory() && isSticky(stats))) return place;
  }
  return undefined;
}

const isTrusted = ({ uid }: Stats) => uid === 0 || uid === sudoUser();
const isTrustedGroup = ({ gid }: Stats) => gid === 0 || gid === sudoGroup();
