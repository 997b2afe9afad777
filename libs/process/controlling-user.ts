import { lstat, readlink } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { sudoUser } from '#libs/config/named-by-environment.ts';
import type { UserIds } from '#libs/config/settings.ts';

/** Symbolic links followed on the way, as the system does. */
const maxLinks = 40;

/** Of anybody else, in a folder's mode. */
const writableByAll = 0o002;

/**
 * Who decides where a path leads: the first owner of a folder or symbolic link on the way that is neither root nor the
 * user for whom root acts (sudo). Whatever root did there by this path, that user could have it do to another file.
 * @returns undefined if that is nobody, also where the path ends on the way
 */
export async function controllerOf(path: string): Promise<UserIds | undefined> {
  const trusted = new Set([0, sudoUser() ?? 0]);
  let parts = namesIn(resolve(path));
  let place = '/';
  let isOpen = false;
  let links = 0;
  for (;;) {
    const [name, ...rest] = parts;
    if (name === undefined) return undefined;
    const next = join(place, name);
    const found = await lstat(next).catch(() => undefined);
    if (found === undefined) return undefined;
    const leads = found.isDirectory() || found.isSymbolicLink();
    // Whose a file is, root leaves as it is, unless that user may put a link in its place.
    if (!trusted.has(found.uid) && (leads || isOpen)) return { uid: found.uid, gid: found.gid };
    if (found.isSymbolicLink()) {
      links += 1;
      if (links > maxLinks) return undefined;
      const target = await readlink(next);
      if (target.startsWith('/')) place = '/';
      parts = [...namesIn(target), ...rest];
      continue;
    }
    isOpen = (found.mode & writableByAll) !== 0;
    place = next;
    parts = rest;
  }
}

const namesIn = (path: string) => path.split('/').filter((name) => name !== '' && name !== '.');
