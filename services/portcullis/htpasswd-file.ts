import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import bcrypt from 'bcryptjs';
import { accountIn, defaultCost, noAccounts, parseHtpasswd } from '#libs/auth/htpasswd.ts';
import { editFile } from '#libs/files/edit-file.ts';
import { readRegularFile } from '#libs/files/read-text.ts';
import { isAccountName, robotPrefix } from '#libs/values/account.ts';

/** Bytes of a password that bcrypt reads; a longer one would be cut without a word. */
const maxPassword = 72;

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
  // What takes long is done before others have to wait.
  const line = await formatUser(name, password, defaultCost);
  if (mode === 'change') await read(path);
  await editFile(path, (text = '') => {
    const known = linesOf(text).some((other) => accountIn(other) === name);
    if (mode === 'add') assertNewUser(path, name, known);
    if (mode === 'change' && !known) throw noUser(path, name);
    return join([...without(text, name).filter((other) => other !== noAccounts), line]);
  });
}

/**
 * Writes a user's line into a file of such lines, in the place of the one there was.
 * @param anew begins with an empty file, whatever there is
 */
export async function replaceUser(
  path: string,
  line: string,
  anew: boolean,
): Promise<'Adding' | 'Updating'> {
  const name = accountIn(line);
  let index = -1;
  await editFile(path, (text) => {
    const there = anew || text === undefined ? [] : linesOf(text);
    const lines = there.filter((other) => other !== noAccounts);
    index = lines.findIndex((other) => name !== undefined && accountIn(other) === name);
    return join(index < 0 ? [...lines, line] : lines.with(index, line));
  });
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
  assertName(name);
  if (password === '') throw new Error('the password is empty');
  if (Buffer.byteLength(password) > maxPassword) {
    throw new Error(`the password is longer than the ${maxPassword} bytes that bcrypt reads`);
  }
}

function assertName(name: string): void {
  if (!isAccountName(name)) {
    throw new Error(
      `"${name}" cannot be a user name: it must not be empty, begin with #, nor hold a colon, a blank at its ends or a line break`,
    );
  }
  if (name.startsWith(robotPrefix)) {
    throw new Error(
      `names that begin with ${robotPrefix} are those of robots; see: portcullis robot create --help`,
    );
  }
}

/** @throws Error if there is no such user */
export async function removeUser(path: string, name: string): Promise<void> {
  await read(path);
  await editFile(path, (text = '') => {
    const lines = without(text, name);
    if (lines.length === linesOf(text).length) throw noUser(path, name);
    // A file without an account would be taken for an accident.
    const isLast = parseHtpasswd(join(lines)).accounts.size === 0;
    return join(isLast ? [...lines, noAccounts] : lines);
  });
}

/** @throws Error if a file's folder is not there: a path that was misspelt would make one where nobody looks */
export async function assertFolderOf(file: string): Promise<void> {
  const path = dirname(file);
  if ((await stat(path).catch(() => undefined))?.isDirectory() === true) return;
  throw new Error(`the folder ${path} does not exist`);
}

async function read(path: string): Promise<string> {
  return (await readRegularFile(path)).toString('utf8');
}

function join(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join('');
}

function linesOf(text: string): string[] {
  return text.split(/\r?\n/).filter((line, index, all) => line !== '' || index < all.length - 1);
}

function without(text: string, name: string): string[] {
  return linesOf(text).filter((line) => accountIn(line) !== name);
}

/** @throws Error for a name that no user can have, or that one has */
export function assertNewUser(path: string, name: string, isThere: boolean): void {
  assertName(name);
  if (!isThere) return;
  throw new Error(`${path} already has a user "${name}"; change the password with user passwd`);
}

export function noUser(path: string, name: string): Error {
  const robots = name.startsWith(robotPrefix) ? '; robots end with robot revoke' : '';
  return new Error(`${path} has no user "${name}"${robots}`);
}
