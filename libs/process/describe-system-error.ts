import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

const reasons: Readonly<Record<string, string>> = {
  EISDIR: 'is a folder; name the file in it',
  ENOENT: 'does not exist',
  ENOTDIR: 'does not exist',
  EROFS: 'is on a filesystem that is read-only',
  ENOSPC: 'no space is left on its filesystem',
};

/** What Node says of a call to the system: `ENOENT: no such file or directory, open '/x'`. */
const systemMessage = /\bE[A-Z]+: ([^,]+), \w+ '([^']+)'(?: -> '[^']+')?/;

/**
 * The message of an error, where a call to the system is told as a sentence: `/x: does not exist`. What this user may not do
 * names this user, and the one who may.
 */
export async function describeSystemError(error: Error): Promise<string> {
  const { code = '', path } = systemErrorIn(error) ?? {};
  const message = tellSystemError(error.message, code);
  if (path === undefined || !['EACCES', 'EPERM'].includes(code)) return message;
  const owner = await ownerOnTheWayTo(path);
  const us = process.getuid?.();
  if (owner === undefined || us === undefined || owner === us) return message;
  const [theirName, ourName] = [await nameOfUser(owner), await nameOfUser(us)];
  return `${message}; it belongs to ${theirName}, and this is ${ourName}: run the command as ${theirName}`;
}

function tellSystemError(message: string, code: string): string {
  const match = systemMessage.exec(message);
  if (match === null) return message;
  const [, why = '', path = ''] = match;
  const before = message.slice(0, match.index).replace(/: $/, '');
  // What stands before is often the path once more, or the end of it.
  const isSaid = before.endsWith(path);
  const start = isSaid || before === '' || path.endsWith(before) ? '' : `${before}: `;
  const end = message.slice(match.index + match[0].length);
  return `${isSaid ? before : start + path}: ${reasons[code] ?? why}${end}`;
}

/** Whose the last thing is on the way to a path that this user can look at. */
async function ownerOnTheWayTo(path: string): Promise<number | undefined> {
  for (let place = path; ; place = dirname(place)) {
    const found = await stat(place).catch(() => undefined);
    if (found !== undefined || place === dirname(place)) return found?.uid;
  }
}

/** `root`, or `user 1000` where the machine has no name for it. */
export async function nameOfUser(uid: number): Promise<string> {
  const users = await readFile('/etc/passwd', 'utf8').catch(() => '');
  const line = users.split('\n').find((one) => one.split(':')[2] === `${uid}`);
  return line?.split(':')[0] ?? `user ${uid}`;
}

/** The first error in a chain of causes that the system gave for a path. */
function systemErrorIn(error: unknown): NodeJS.ErrnoException | undefined {
  for (let one = error; one instanceof Error; one = one.cause) {
    const { code, path, syscall } = one as NodeJS.ErrnoException;
    if (code !== undefined && path !== undefined && syscall !== undefined) return one;
  }
  return undefined;
}
