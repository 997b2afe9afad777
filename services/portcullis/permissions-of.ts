import { execFile } from 'node:child_process';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import type { UserIds } from '#libs/config/sections/user.ts';
import { walkTo } from '#libs/files/path-trust.ts';

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

/**
 * What lets another user enter the first folder on the way to a path that they may not, as a command of a shell; undefined where
 * they may enter all. To be called by root.
 */
export async function howToLetEnter(user: UserIds, path: string): Promise<string | undefined> {
  for (const { place, stats } of (await walkTo(dirname(path))).steps) {
    if (!stats.isDirectory() || (await isAllowed(user, ['-x'], place))) continue;
    const who = stats.uid === user.uid ? 'u' : stats.gid === user.gid ? 'g' : 'o';
    return `chmod ${who}+x ${place}`;
  }
  return undefined;
}

/**
 * What lets another user read a file, as commands of a shell; undefined where they may. To be called by root.
 */
export async function howToLetRead(user: UserIds, file: string): Promise<string | undefined> {
  if (await isAllowed(user, ['-r'], file)) return undefined;
  return (await howToLetEnter(user, file)) ?? letGroupRead(user, file);
}

/** @returns the commands */
export const letGroupRead = ({ gid }: UserIds, file: string) =>
  `chgrp ${gid} ${file} && chmod g+r ${file}`;
