import type { Access } from '#libs/auth/scope.ts';

/** Who may do what. */
export interface Policy {
  /** Changes whenever an answer may. */
  readonly version: string;
  /**
   * What of a wish is granted to an account; empty for an anonymous caller. Asking for too much is no
   * error, and what is granted never exceeds what was asked.
   * @returns the granted actions, perhaps none
   */
  grant(account: string, wanted: Access): string[];
}
