import { chmod, mkdir, open, readFile, realpath, rename, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import bcrypt from 'bcryptjs';
import { isAccountName, parseHtpasswd } from '#libs/auth/htpasswd.ts';

/** log2 of bcrypt's work: about 60 ms a login on a common machine. */
const defaultCost = 10;

/** Bytes of a password that bcrypt reads; a longer one would be cut without a word. */
const maxPassword = 72;

/** The users of an htpasswd file, in its order. @throws Error if it cannot be read */
export async function listUsers(path: string): Promise<string[]> {
  return [...parseHtpasswd(await read(path)).accounts.keys()];
}

/**
 * Sets a password, as `htpasswd -B` would write it; other lines stay as they are.
 * @param mode `add` wants a new user, `change` a known one
 */
export async function setPassword(
  path: string,
  name: string,
  password: string,
  mode: 'add' | 'change',
): Promise<void> {
  assertUsable(name, password);
  const text = mode === 'add' ? await read(path).catch(ifAbsent) : await read(path);
  const known = linesOf(text).some((line) => line.startsWith(`${name}:`));
  if (mode === 'add' && known) {
    throw new Error(`${path} already has a user "${name}"; change the password with user passwd`);
  }
  if (mode === 'change' && !known) throw noUser(path, name);
  await write(path, [...without(text, name), await formatUser(name, password, defaultCost)]);
}

/**
 * Writes a user's line into a text of such lines, in the place of the one there was.
 * @param text undefined for a new file
 */
export async function replaceUser(
  path: string,
  text: string | undefined,
  line: string,
): Promise<'Adding' | 'Updating'> {
  const name = line.slice(0, line.indexOf(':') + 1);
  const lines = text === undefined ? [] : linesOf(text);
  const index = lines.findIndex((other) => other.startsWith(name));
  await write(path, index < 0 ? [...lines, line] : lines.with(index, line));
  return index < 0 ? 'Adding' : 'Updating';
}

/**
 * A line of an htpasswd file.
 * @param cost log2 of bcrypt's work
 * @throws Error with one clear sentence for a name or password that cannot be one
 */
export async function formatUser(name: string, password: string, cost: number): Promise<string> {
  assertUsable(name, password);
  // Apache writes $2y$, which is the same algorithm.
  return `${name}:${(await bcrypt.hash(password, cost)).replace(/^\$2b\$/, '$2y$')}`;
}

function assertUsable(name: string, password: string): void {
  if (!isAccountName(name)) throw new Error(`"${name}" cannot be a user name`);
  if (password === '') throw new Error('the password is empty');
  if (Buffer.byteLength(password) > maxPassword) {
    throw new Error(`the password is longer than the ${maxPassword} bytes that bcrypt reads`);
  }
}

/** @throws Error if there is no such user */
export async function removeUser(path: string, name: string): Promise<void> {
  const text = await read(path);
  const lines = without(text, name);
  if (lines.length === linesOf(text).length) throw noUser(path, name);
  await write(path, lines);
}

async function read(path: string): Promise<string> {
  return await readFile(path, 'utf8');
}

function ifAbsent(error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT') return '';
  throw error;
}

function linesOf(text: string): string[] {
  return text.split(/\r?\n/).filter((line, index, all) => line !== '' || index < all.length - 1);
}

function without(text: string, name: string): string[] {
  return linesOf(text).filter((line) => !line.startsWith(`${name}:`));
}

function noUser(path: string, name: string): Error {
  return new Error(`${path} has no user "${name}"`);
}

/** Replaces the file whole: a reader sees the old users or the new ones. */
async function write(path: string, lines: readonly string[]): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const target = await realpath(path).catch(() => path);
  const before = await stat(target).catch(() => undefined);
  const mode = before === undefined ? 0o600 : before.mode & 0o777;
  const temporary = `${target}.${process.pid}.tmp`;
  const handle = await open(temporary, 'w', mode);
  try {
    // The service that reads it may be another user than the one who types this.
    if (before !== undefined) await handle.chown(before.uid, before.gid);
    await handle.writeFile(lines.map((line) => `${line}\n`).join(''));
    await handle.sync();
  } finally {
    await handle.close();
  }
  await chmod(temporary, mode);
  await rename(temporary, target);
}
