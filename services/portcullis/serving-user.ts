import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { UserIds } from '#libs/config/sections/user.ts';
import type { Settings } from '#libs/config/settings.ts';
import { findOtherOwner, mayChangeUsers, ownerOfTree } from '#libs/process/choose-user.ts';

/**
 * The other user whom root will serve as, by `portcullis.user`: changes nothing, and judges nothing that only a start can.
 * @returns undefined where it serves as this one, or nobody knows yet
 */
export async function servingUser({
  user,
  storage,
}: Pick<Settings, 'user' | 'storage'>): Promise<UserIds | undefined> {
  if (user === undefined || process.getuid?.() !== 0 || !(await mayChangeUsers())) return undefined;
  if (user !== 'owner') return user;
  if (storage.driver !== 'filesystem') return undefined;
  const owner = await ownerOfTree(storage.root).catch(() => undefined);
  if (owner === undefined || owner.uid === 0) return undefined;
  // A tree of which something is root's is served as root.
  const other = await findOtherOwner(storage.root, owner.uid);
  return other?.isRoots === true ? undefined : owner;
}

/**
 * Whether another user may read, or make something in, what is at a path: only the system knows.
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
