import type { Metrics } from '#libs/metrics/metrics.ts';
import type { UserStore } from './user-store.ts';

/** The same users; logins with a wrong name or password are counted. */
export function measureUsers<Users extends UserStore>(
  users: Users,
  metrics: Metrics | undefined,
): Users {
  if (metrics === undefined) return users;
  const refused = metrics.counter(
    'portcullis_logins_refused_total',
    'Logins with a wrong name or password',
  );
  return {
    ...users,
    async verify(account, password, client) {
      const right = await users.verify(account, password, client);
      if (!right) refused.inc();
      return right;
    },
  };
}
