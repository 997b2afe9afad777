import type { Stats } from 'node:fs';
import { lstat, readlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { sudoGroup, sudoUser } from '#libs/config/named-by-environment.ts';
import type { UserIds } from '#libs/config/sections/user.ts';

/** Symbolic links followed on the way, as the system does. */
const maxLinks = 40;

/** Write permission of a group and of everybody, and the bit that lets only owners take things out of a folder. */
const bits = { group: 0o020, all: 0o002, sticky: 0o1000 } as const;

/**
 * Who decides where a path leads: the first owner of a folder or symbolic link on the way that is neither root nor the
 * user for whom root acts (sudo). Whatever root did there by this path, that user could have it do to another file.
 * @returns undefined if that is nobody, also where the path ends on the way
 */
export async function controllerOf(path: string): Promise<UserIds | undefined> {
  let isOpen = false;
  for await (const { stats } of stepsTo(path)) {
    const leads = stats.isDirectory() || stats.isSymbolicLink();
    // Whose a file is, root leaves as it is, unless that user may put a link in its place.
    if (!isTrusted(stats) && (leads || isOpen)) return { uid: stats.uid, gid: stats.gid };
    if (!stats.isSymbolicLink()) isOpen = (stats.mode & bits.all) !== 0;
  }
  return undefined;
}

/** Whose is the first symbolic link on the way to a path that is neither root's nor that of the user for whom root acts. */
export async function linkerTo(path: string): Promise<UserIds | undefined> {
  for await (const { stats } of stepsTo(path)) {
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
  for await (const { place, stats } of stepsTo(path)) {
    if (!isTrusted(stats)) return place;
    if (stats.isSymbolicLink()) continue;
    const isOfGroup = (stats.mode & bits.group) !== 0 && !isTrustedGroup(stats);
    const isOfAll = (stats.mode & bits.all) !== 0;
    const isSticky = stats.isDirectory() && (stats.mode & bits.sticky) !== 0;
    if ((isOfGroup || isOfAll) && !isSticky) return place;
  }
  return undefined;
}

const isTrusted = ({ uid }: Stats) => uid === 0 || uid === sudoUser();
const isTrustedGroup = ({ gid }: Stats) => gid === 0 || gid === sudoGroup();

/** What is on the way to a path, from the root on: links, and what they lead to. Ends where there is nothing. */
async function* stepsTo(path: string): AsyncGenerator<{ place: string; stats: Stats }> {
  let parts = namesIn(resolve(path));
  let folder = '/';
  for (let links = 0; links <= maxLinks; ) {
    const [name, ...rest] = parts;
    if (name === undefined) return;
    const place = join(folder, name);
    const stats = await lstat(place).catch(() => undefined);
    if (stats === undefined) return;
    yield { place, stats };
    if (stats.isSymbolicLink()) {
      links += 1;
      const target = await readlink(place);
      if (target.startsWith('/')) folder = '/';
      parts = [...namesIn(target), ...rest];
    } else {
      folder = place;
      parts = rest;
    }
  }
}

const namesIn = (path: string) => path.split('/').filter((name) => name !== '' && name !== '.');
