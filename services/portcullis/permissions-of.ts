import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { UserIds } from '#libs/config/sections/user.ts';
import { walkTo } from '#libs/files/path-trust.ts';
import { shellWord } from '#libs/values/shell-word.ts';

/**
 * Whether another user may read, write or enter what is at a path: only the system knows, of which test(1) asks. To be called by
 * root; where that program or the right to become somebody is missing, nothing speaks against it.
 * @param tests of test(1), each true for it
 */
export async function isAllowed(
  { uid, gid }: UserIds,
  tests: readonly ('-r' | '-w' | '-x')[],
  path: string,
): Promise<boolean> {
  const words = tests.flatMap((one, index) => [...(index === 0 ? [] : ['-a']), one, path]);
  return await promisify(execFile)('test', words, { uid, gid }).then(
    () => true,
    ({ code }: { code?: unknown }) => code !== 1,
  );
}

/** A folder that a user may not enter, and by which of its permissions: those of its owner, its group or others. */
export interface ClosedFolder {
  place: string;
  who: 'u' | 'g' | 'o';
}

/** What lets a user enter all folders on the way to a path, as a command of a shell, one at a time. */
export async function howToLetEnter(user: UserIds, path: string): Promise<string | undefined> {
  const closed = await findClosedFolder(user, path);
  return closed === undefined ? undefined : letEnter(closed);
}

/** @returns the command */
export const letEnter = ({ place, who }: ClosedFolder) => `chmod ${who}+x ${shellWord(place)}`;

/**
 * The first folder on the way to a path that a user may not enter. Of another user only root can tell.
 * @param user undefined for this one
 */
export async function findClosedFolder(
  user: UserIds | undefined,
  path: string,
): Promise<ClosedFolder | undefined> {
  const uid = user?.uid ?? process.getuid?.();
  // Who serves as another user has no further groups.
  const groups = user === undefined ? (process.getgroups?.() ?? []) : [user.gid];
  const { steps, end } = await walkTo(path);
  for (const { place, stats } of steps) {
    if (!stats.isDirectory() || place === end || (await mayEnter(user, place))) continue;
    const who = stats.uid === uid ? 'u' : groups.includes(stats.gid) ? 'g' : 'o';
    return { place, who };
  }
  return undefined;
}

async function mayEnter(user: UserIds | undefined, folder: string): Promise<boolean> {
  if (user !== undefined) return await isAllowed(user, ['-x'], folder);
  return await access(folder, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/**
 * What lets another user read a file, as commands of a shell; undefined where they may. To be called by root.
 */
export async function howToLetRead(user: UserIds, file: string): Promise<string | undefined> {
  if (await isAllowed(user, ['-r'], file)) return undefined;
  const entry = await howToLetEnter(user, file);
  if (entry !== undefined) return entry;
  // An owner is judged by the owner's bits alone.
  const isOwn = (await stat(file)).uid === user.uid;
  return isOwn ? `chmod u+r ${shellWord(file)}` : letGroupRead(user, file);
}

/** @returns the commands */
export const letGroupRead = ({ gid }: UserIds, file: string) =>
  `chgrp ${gid} ${shellWord(file)} && chmod g+r ${shellWord(file)}`;
