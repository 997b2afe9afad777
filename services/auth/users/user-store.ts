import type { Accounts } from '#libs/auth/htpasswd.ts';
import type { Lane } from '../limits/login-limits.ts';

/** A password to look at, and who waits for the answer. */
export interface PasswordAttempt {
  account: string;
  password: string;
  /** The narrowest network of who asks: nobody's guesses may keep the others waiting. */
  network: string;
  lane: Lane;
  /** Aborted when nobody waits for the answer any more. */
  signal?: AbortSignal | undefined;
}

export interface PasswordVerdict {
  right: boolean;
  /** False if this very password of this account was looked at lately, from this network if it was wrong. */
  compared: boolean;
}

/** Who may log in with a password. */
export interface UserStore {
  /**
   * Compares a password, by the same work for every account, whether there is one or not, unless this very one was
   * compared lately.
   * @throws RegistryError TOOMANYREQUESTS if it would have to wait too long
   */
  verify(attempt: PasswordAttempt): Promise<PasswordVerdict>;
  /** The accounts now in force, and their hashes. */
  accounts(): Accounts;
  /** What rules may look at of an account; undefined for most. */
  labelsOf(account: string): Readonly<Record<string, string[]>> | undefined;
  close(): Promise<void>;
}
