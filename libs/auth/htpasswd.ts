import {
  costOf,
  isAccountName,
  isBcryptHash,
  largestCost,
  robotPrefix,
} from '#libs/values/account.ts';

/** One account of the file and its bcrypt hash. */
export type Accounts = ReadonlyMap<string, string>;

export interface ParsedHtpasswd {
  accounts: Accounts;
  /** Users whose line gives them no access: there are no others of their names. */
  refused: ReadonlySet<string>;
  /** One sentence for each line that gives nobody access. */
  problems: string[];
}

/** log2 of bcrypt's rounds for new passwords: about 60 ms a login on a common machine. */
export const defaultCost = 10;

/**
 * Reads the file that `htpasswd -B` writes: `name:hash` on each line. Blank lines and lines that
 * begin with `#` are passed over; of two lines for one name the later counts, as in distribution.
 */
export function parseHtpasswd(text: string): ParsedHtpasswd {
  const accounts = new Map<string, string>();
  const refused = new Set<string>();
  const problems: string[] = [];
  text.split(/\r?\n/).forEach((line, index) => {
    const entry = line.trim();
    if (entry === '' || entry.startsWith('#')) return;
    const name = accountIn(line);
    if (name === undefined) {
      problems.push(`line ${index + 1} is not of the form name:hash`);
      return;
    }
    const colon = entry.indexOf(':');
    // Fields after the second colon are comments, as in Apache's format.
    const hash = entry.slice(colon + 1).split(':', 1)[0] ?? '';
    const why = describeRefused(name, hash);
    if (why !== undefined) {
      accounts.delete(name);
      refused.add(name);
      problems.push(`user "${name}" is refused: ${why}`);
      return;
    }
    accounts.set(name, hash);
    refused.delete(name);
  });
  return { accounts, refused, problems };
}

/** Why a line gives its user no access; undefined if it does. */
function describeRefused(name: string, hash: string): string | undefined {
  if (name.startsWith(robotPrefix))
    return `names that begin with ${robotPrefix} are those of robots`;
  const remedy = 'set the password anew with portcullis user passwd';
  if (!isBcryptHash(hash)) return `the hash is not bcrypt; ${remedy}`;
  const cost = costOf(hash);
  if (cost <= largestCost) return undefined;
  return `the hash has cost ${cost}, above ${largestCost}: a login would take too long; ${remedy}`;
}

/** Whose line it is; blanks around it do not count. @returns undefined for a comment, and for what is nobody's */
export function accountIn(line: string): string | undefined {
  const entry = line.trim();
  const name = entry.slice(0, Math.max(0, entry.indexOf(':')));
  return isAccountName(name) ? name : undefined;
}

/** What a line of the file is like that was not written to its end. */
const partOfLine =
  /^[^:]+(?::(?:\$(?:2(?:[aby](?:\$(?:\d{0,2}(?:\$[./A-Za-z0-9]{0,52})?)?)?)?)?)?)?$/;

/** True for a file that ends in the middle of a line, as while somebody writes it. */
function isCutOff(text: string): boolean {
  const last = text.slice(text.lastIndexOf('\n') + 1).trim();
  return last !== '' && !last.startsWith('#') && partOfLine.test(last);
}

/** The line of a file whose last account was removed: it is meant, and was not emptied by accident. */
export const noAccounts = '# no accounts';

/** Whether a file says that it is meant to have no accounts. */
export function saysNoAccounts(text: string): boolean {
  return text.split('\n').some((line) => line.trim() === noAccounts);
}

/**
 * Why a file cannot be what somebody made of one with accounts: it is being written, or was emptied or replaced by
 * accident. {@link noAccounts} in a file without an account says that this is meant; no other comment does.
 * @returns undefined if it can
 */
export function describeSuspectFile(text: string): string | undefined {
  if (isCutOff(text)) return 'its last line is cut off';
  const { accounts, problems } = parseHtpasswd(text);
  const isMeant = saysNoAccounts(text);
  if (accounts.size > 0 || isMeant) return undefined;
  if (problems.length > 0) return `it has no account that can be used: ${problems[0]}`;
  return `it is empty; "${noAccounts}" in it says that this is meant`;
}
