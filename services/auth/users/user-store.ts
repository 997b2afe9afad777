/** Who may log in. */
export interface UserStore {
  /**
   * Compares a password. An unknown account costs the same work as a wrong password.
   * @throws RegistryError TOOMANYREQUESTS if too many comparisons wait
   */
  verify(account: string, password: string): Promise<boolean>;
  close(): Promise<void>;
}
