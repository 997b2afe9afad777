import { readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';

const reasons: Readonly<Record<string, string>> = {
  EISDIR: 'is a folder; name the file in it',
  ENOENT: 'does not exist',
  ENOTDIR: 'does not exist',
  EROFS: 'is on a filesystem that is read-only',
  ENOSPC: 'no space is left on its filesystem',
};

/**
 * The message of an error, where a call to the system is told as a sentence: `/x: does not exist`. What this user may not do
 * names this user, and the one who may.
 */
export async function describeSystemError(error: Error): Promise<string> {
  const cause = systemErrorIn(error);
  if (cause === undefined) return error.message;
  const { code, path } = cause;
  const message = error.message.replace(cause.message, () => describeCause(cause));
  const told = withoutRepetition(message, path);
  if (!['EACCES', 'EPERM'].includes(code)) return told;
  const found = await lastOnTheWayTo(path);
  const us = process.getuid?.();
  if (found === undefined || us === undefined || found.owner === us) return told;
  const { owner, place } = found;
  const [theirName, ourName] = [await nameOfUser(owner), await nameOfUser(us)];
  if (owner === startedAs) {
    return `${told}; it belongs to ${theirName}, and what is around it to ${ourName}, as whom this works there: chown -R ${us} ${place}`;
  }
  return `${told}; it belongs to ${theirName}, and this is ${ourName}: run the command as ${theirName}`;
}

/** Root becomes the user whose a registry is, and does no more there than that one may. */
const startedAs = process.getuid?.();

/** An error that the system gave for a path. */
interface PathError extends Error {
  code: string;
  path: string;
}

function describeCause({ code, path, message }: PathError): string {
  // `EMFILE: too many open files, open '/x'`; what Node finds out itself it says otherwise.
  const isOfSystem = message.startsWith(`${code}: `);
  const words = isOfSystem ? message.slice(code.length + 2).split(',', 1)[0] : message;
  return `${path}: ${reasons[code] ?? words}`;
}

/** Often the path, or the end of it, stands before what the system said of it. */
function withoutRepetition(message: string, path: string): string {
  // The last one is ours.
  const at = message.lastIndexOf(`${path}: `);
  const before = message.slice(0, Math.max(0, at)).replace(/: $/, '');
  if (before === '') return message;
  if (before.endsWith(path)) return before + message.slice(at + path.length);
  return path.endsWith(before) ? message.slice(at) : message;
}

/** The last thing on the way to a path that this user can look at, and whose it is. */
async function lastOnTheWayTo(path: string): Promise<{ place: string; owner: number } | undefined> {
  for (let place = path; ; place = dirname(place)) {
    const found = await stat(place).catch(() => undefined);
    if (found !== undefined) return { place, owner: found.uid };
    if (place === dirname(place)) return undefined;
  }
}

/** `root`, or `user 1000` where the machine has no name for it. */
export async function nameOfUser(uid: number): Promise<string> {
  const users = await readFile('/etc/passwd', 'utf8').catch(() => '');
  const line = users.split('\n').find((one) => one.split(':')[2] === `${uid}`);
  return line?.split(':')[0] ?? `user ${uid}`;
}

/** The first error in a chain of causes that the system gave for a path. */
function systemErrorIn(error: unknown): PathError | undefined {
  for (let one = error; one instanceof Error; one = one.cause) {
    const { code, path, syscall } = one as NodeJS.ErrnoException;
    if (code !== undefined && path !== undefined && syscall !== undefined) return one as PathError;
  }
  return undefined;
}
