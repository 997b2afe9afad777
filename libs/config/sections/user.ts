import { z } from 'zod';

/** A user and a group of the system, by number. */
export interface UserIds {
  uid: number;
  gid: number;
}

/** Who serves where root starts; undefined: whoever starts it. */
export type UserSetting = 'owner' | UserIds | undefined;

export const userSchema = z
  .string()
  .regex(/^(?:owner|\d{1,9}:\d{1,9})$/, 'must be owner, or UID:GID such as 1000:1000')
  .optional()
  .describe(
    'Who serves where root starts: owner (of the tree) or UID:GID; without it root itself.',
  );

export function userSetting(user: string | undefined): UserSetting {
  if (user === undefined || user === 'owner') return user;
  const [uid, gid] = user.split(':').map(Number);
  return { uid: uid ?? 0, gid: gid ?? 0 };
}
