/** Who may log in. */
export interface UserStore {
  /**
   * Compares a password. An unknown account costs the same work as a wrong password.
   * @param client address of who asks: nobody's guesses may keep the others waiting
   * @throws RegistryError TOOMANYREQUESTS if too many comparisons wait, in all or for this client
   */
  verify(account: string, password: string, client: string): Promise<boolean>;
  close(): Promise<void>;
}
