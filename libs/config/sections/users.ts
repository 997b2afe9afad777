import { z } from 'zod';
import {
  costOf,
  isAccountName,
  isBcryptHash,
  largestCost,
  robotPrefix,
} from '../../values/account.ts';
import { secret, textList } from '../../values/schema.ts';

/** One of docker_auth's `users`; nothing at all stands for an anonymous client there. */
const configuredUser = z.preprocess(
  (value) => value ?? {},
  z.strictObject({
    password: secret.optional().describe('Its bcrypt hash.'),
    labels: z
      .record(z.string(), textList)
      .default({})
      .describe('What rules may look at by match.labels.'),
  }),
);

/** What a user may have. */
export const userKeys: readonly string[] = ['password', 'labels'];

export const usersSchema = z
  .record(z.string(), configuredUser)
  .default({})
  .describe(
    'Users as docker_auth has them, beside those of the htpasswd file, whose passwords count first; changes are taken without a restart.',
  );

/** A user whose hash stands in the configuration. */
export interface ConfiguredUser {
  /** Of bcrypt. */
  hash: string;
  labels: Record<string, string[]>;
}

export type ConfiguredUsers = ReadonlyMap<string, ConfiguredUser>;

/** @throws Error with one clear sentence for a user who could not log in as docker_auth has it, or whom anybody could be */
export function configuredUsers(given: z.infer<typeof usersSchema>): ConfiguredUsers {
  const users = new Map<string, ConfiguredUser>();
  for (const [name, { password, labels }] of Object.entries(given)) {
    // Clients that do not log in: what they may do, rules say.
    if (name === '' && password === undefined) continue;
    const key = `portcullis.users.${name}`;
    if (!isAccountName(name)) throw new Error(`${key}: is not a user name`);
    if (name.startsWith(robotPrefix)) {
      throw new Error(`${key}: names that begin with ${robotPrefix} are those of robots`);
    }
    const hash = password?.reveal().trim();
    if (hash === undefined) {
      throw new Error(
        `${key}: has no password, so anybody could log in; give it a bcrypt hash (htpasswd -nB ${name})`,
      );
    }
    if (!isBcryptHash(hash)) throw new Error(`${key}.password: is not a bcrypt hash`);
    if (costOf(hash) > largestCost) {
      throw new Error(
        `${key}.password: the hash has cost ${costOf(hash)}, above ${largestCost}: a login would take too long`,
      );
    }
    users.set(name, { hash, labels });
  }
  return users;
}
