import type { Accounts } from '#libs/auth/htpasswd.ts';

/** Who may log in with a password. */
export interface UserStore {
  /**
   * Compares a password. An unknown account costs the same work as a wrong password.
   * @param client address of who asks: nobody's guesses may keep the others waiting
   * @throws RegistryError TOOMANYREQUESTS if too many comparisons wait, in all or for this client
   */
  verify(account: string, password: string, client: string): Promise<boolean>;
  /** Whether this very password was right lately, without any work. */
  remembers(account: string, password: string): Promise<boolean>;
  /** The accounts now in force, and their hashes. */
  accounts(): Accounts;
  close(): Promise<void>;
}
