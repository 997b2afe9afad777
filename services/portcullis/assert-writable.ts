import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { UserIds, UserSetting } from '#libs/config/sections/user.ts';
import { howToMakeWritable } from '#libs/files/make-writable.ts';
import { treeFolder } from '#libs/values/storage-tree.ts';

/**
 * Makes sure that who is to serve may write to a tree, or make it.
 * @param key that names the tree, for the error
 * @param user `portcullis.user`, as whom root serves
 * @throws Error with one clear sentence
 */
export async function assertWritable(key: string, root: string, user: UserSetting): Promise<void> {
  const isOther = process.getuid?.() === 0 && typeof user === 'object';
  const as = isOther ? user : undefined;
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
    // Of this user it may be said that another one is to serve; that one is who is named.
    const cause = as === undefined ? Object.assign(new Error(code), { code }) : undefined;
    throw new Error(`${key}: ${what}; ${howToMakeWritable(root, { isThere, as })}`, { cause });
  }
}

/** The system's code for why nothing can be made in a folder; undefined where it can. */
async function whyNotWritable(
  folder: string,
  as: UserIds | undefined,
): Promise<string | undefined> {
  try {
    await access(folder, constants.W_OK | constants.X_OK);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
  if (as === undefined) return undefined;
  // Only the system knows what another user may.
  const test = promisify(execFile)('test', ['-w', folder, '-a', '-x', folder], { ...as });
  return await test.then(
    () => undefined,
    ({ code }: { code?: unknown }) => (code === 1 ? 'EACCES' : undefined),
  );
}
