import { basename, join } from 'node:path';

/** Milliseconds between two looks at a file that says who may do what: with Redis all know within a second. */
export const lookEvery = 500;

/** What an operator writes into auth's state folder, and what auth keeps there. */
export const stateFiles = {
  /** Robots, written by `portcullis robot`. */
  robots: (state: string) => join(state, 'robots.yml'),
  /** When robots were used last, written by auth. */
  robotUse: (state: string) => join(state, 'robots-used.yml'),
  /** Subjects whose tokens an operator made void, written by `portcullis token revoke`. */
  voided: (state: string) => join(state, 'voided.yml'),
  /** What auth saw of accounts, and which tokens are void because of it. */
  revoked: (state: string) => join(state, 'revoked.yml'),
  /** From which networks accounts logged in, as keyed hashes. */
  knownLogins: (state: string) => join(state, 'known-logins.json'),
  /** Which hashes are of one and the same password, as keyed fingerprints. */
  rehashed: (state: string) => join(state, 'rehashed.json'),
} as const;

/** All that is in the folder. */
export const stateNames = [
  'keys',
  ...Object.values(stateFiles).map((pathIn) => basename(pathIn(''))),
];
