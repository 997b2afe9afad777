import type { AuthSettings } from '#libs/config/sections/auth.ts';
import type { Logger } from '#libs/log/logger.ts';
import { robotPrefix } from '#libs/values/account.ts';
import type { Revocations } from '../revocations.ts';
import { openRobots, type RobotStore } from '../robots/robot-store.ts';

import { type HtpasswdOptions, type HtpasswdUsers, openHtpasswd } from '../users/htpasswd-users.ts';

/** All accounts with a secret: users and robots. Whose secret changes loses what was issued for it. */
export interface AccountStores {
  users: HtpasswdUsers;
  robots: RobotStore;
  /** Reads their files again now. */
  reload(): Promise<void>;
  /** Looks now whether their files changed. */
  refresh(): Promise<void>;
  close(): Promise<void>;
}

interface AccountFiles
  extends Pick<AuthSettings, 'htpasswd' | 'state'>,
    Partial<Pick<AuthSettings, 'users'>>,
    Pick<HtpasswdOptions, 'rehash' | 'onComparison'> {
  /** The htpasswd file, if it was read already. */
  firstUsers?: string | undefined;
}

/**
 * @param onVoid called when a token became void
 * @throws Error with one clear sentence if a file cannot be used
 */
export async function openAccounts(
  { htpasswd, users: configured, state, firstUsers, rehash, onComparison }: AccountFiles,
  revocations: Revocations,
  onVoid: () => void,
  log: Logger,
): Promise<AccountStores> {
  let stores: { users: HtpasswdUsers; robots: RobotStore } | undefined;

  let following: Promise<void> = Promise.resolve();

  /** One at a time, each with what is known then: an older view that came last would take new accounts for removed. */
  function follow(): Promise<void> {
    const done = following.then(followNow);
    following = done.catch(() => {});
    return done;
  }

  async function followNow(): Promise<void> {
    // Not before all are known: those that are missing would count as removed.
    if (stores === undefined) return;
    const { users, robots } = stores;
    const secrets = new Map(users.accounts());
    for (const { name, hash } of robots.all().values()) secrets.set(`${robotPrefix}${name}`, hash);
    // Only what is new is worth telling: the others look at their own files when they hear of it.
    await revocations.follow(secrets, onVoid);
  }

  const users = await openHtpasswd({
    path: htpasswd,
    configured,
    first: firstUsers,
    log,
    onChange: follow,
    rehash,
    ...(onComparison === undefined ? {} : { onComparison }),
  });
  const robots = await openRobots({ stateFolder: state, log, onChange: follow }).catch(
    async (error: unknown) => {
      await users.close();
      throw error;
    },
  );
  stores = { users, robots };
  await follow();
  if (users.accounts().size === 0) log.warn({ file: htpasswd }, 'no user can log in');
  return {
    users,
    robots,
    async reload() {
      await Promise.all([users.reload(), robots.reload()]);
    },
    async refresh() {
      await Promise.all([users.refresh(), robots.refresh()]);
    },
    async close() {
      await Promise.all([users.close(), robots.close()]);
    },
  };
}
