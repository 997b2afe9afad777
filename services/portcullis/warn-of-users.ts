import { existsSync } from 'node:fs';
import { parseHtpasswd, saysNoAccounts } from '#libs/auth/htpasswd.ts';
import type { AuthSettings } from '#libs/config/sections/auth.ts';
import type { UserIds } from '#libs/config/sections/user.ts';
import { readIfPresent } from '#libs/files/read-text.ts';
import { shellWord } from '#libs/values/shell-word.ts';
import { howToLetRead } from './permissions-of.ts';

/** Lines of a file that are told one by one. */
const maxLines = 5;

/**
 * What of the users is rarely meant: lines that let nobody in, a file in which nobody is, and one whose changes are not seen.
 * @param as the other user as whom root will serve
 */
export async function warnOfUsers(
  { htpasswd, users }: Pick<AuthSettings, 'htpasswd' | 'users'>,
  as: UserIds | undefined,
): Promise<string[]> {
  const key = `auth.htpasswd.path: ${htpasswd}`;
  if (!existsSync(htpasswd) && users.size > 0) {
    return [`${key} does not exist; only the users of portcullis.users can log in`];
  }
  const text = await readIfPresent(htpasswd).catch(() => undefined);
  if (text === undefined) return [];
  const { accounts, problems } = parseHtpasswd(text);
  const warnings = problems.slice(0, maxLines).map((problem) => `${key}: ${problem}`);
  if (problems.length > maxLines) {
    warnings.push(
      `${key}: so are ${problems.length - maxLines} more lines; see: portcullis user list`,
    );
  }
  const isMeant = saysNoAccounts(text);
  if (accounts.size === 0 && users.size === 0 && !isMeant) {
    warnings.push(
      `${key}: no user can log in; make one with: portcullis user add --file ${shellWord(htpasswd)} NAME`,
    );
  }
  const remedy = as === undefined ? undefined : await howToLetRead(as, htpasswd);
  if (as !== undefined && remedy !== undefined) {
    warnings.push(
      `${key} may not be read by user ${as.uid}, who will serve (portcullis.user): what is changed in it counts at the next start only; to have it read at once: ${remedy}`,
    );
  }
  return warnings;
}
