import bcrypt from 'bcryptjs';
import { parseHtpasswd } from '#libs/auth/htpasswd.ts';
import { describeUnreadable, readRegularFile } from '#libs/files/read-text.ts';
import { switchToControllerOf } from '#libs/process/drop-privileges.ts';
import { UsageError } from '#libs/process/usage-error.ts';
import { largestCost } from '#libs/values/account.ts';
import { assertFolderOf, formatUser, removeUser, replaceUser } from '../htpasswd-file.ts';
import { readPassword } from '../read-password.ts';

const usage =
  'the arguments are FILE NAME; with -b FILE NAME PASSWORD; with -n NAME, or NAME PASSWORD with -nb';

/** As Apache's program ends: the password is wrong; there is no such user, or no user could be called so. */
const exitCodes = { wrong: 3, unknown: 6 } as const;

/** Apache's options, by their letters. */
export interface HtpasswdOptions {
  B?: boolean;
  b?: boolean;
  c?: boolean;
  C: string;
  D?: boolean;
  i?: boolean;
  n?: boolean;
  v?: boolean;
}

/**
 * Apache's program of that name, for images and scripts that call it: the same options, output and exit codes. Only bcrypt
 * is written, because only that is read by a registry.
 * @param positionals FILE NAME, with -b also PASSWORD; with -n no FILE
 * @returns the exit code
 */
export async function htpasswd(
  positionals: readonly string[],
  values: HtpasswdOptions,
): Promise<number> {
  const names = values.n === true ? positionals : positionals.slice(1);
  const [name = '', given, ...more] = names;
  const wanted = values.b === true ? 2 : 1;
  if (names.length !== wanted || more.length > 0) throw new UsageError(usage);
  if (name === '') throw new UsageError('the name of the user is empty');
  if (name.includes(':')) {
    process.stderr.write(`portcullis: "${name}" cannot be a user name: it has a colon\n`);
    return exitCodes.unknown;
  }
  const [file = ''] = positionals;
  if (values.n !== true) await switchToControllerOf(file);
  if (values.D === true) return await remove(file, name);
  const password = async () => given ?? (await readPassword());
  if (values.v === true) return await verify(file, name, await password());
  if (values.B !== true) {
    throw new UsageError('only bcrypt is supported: add -B, as in htpasswd -Bbn NAME PASSWORD');
  }
  const line = await formatUser(name, await password(), parseCost(values.C));
  if (values.n === true) {
    process.stdout.write(`${line}\n\n`);
    return 0;
  }
  const anew = values.c === true;
  if (anew) await assertFolderOf(file);
  else await readRegularFile(file).catch(explain(file));
  const done = await replaceUser(file, line, anew);
  process.stderr.write(`${done} password for user ${name}\n`);
  return 0;
}

function parseCost(text: string): number {
  const cost = Number(text);
  if (Number.isInteger(cost) && cost >= 4 && cost <= largestCost) return cost;
  throw new UsageError(
    `-C: "${text}" is not a bcrypt cost: use a whole number from 4 to ${largestCost}`,
  );
}

async function remove(file: string, name: string): Promise<number> {
  const { accounts, refused } = await linesOf(file);
  // Also one whose line lets nobody in.
  if (accounts.has(name) || refused.has(name)) {
    await removeUser(file, name);
    process.stderr.write(`Deleting password for user ${name}\n`);
  } else {
    unknown(name);
  }
  return 0;
}

async function verify(file: string, name: string, password: string): Promise<number> {
  const { accounts, refused } = await linesOf(file);
  if (refused.has(name)) {
    process.stderr.write(
      `password verification failed: no registry takes the hash of ${name}; set the password anew\n`,
    );
    return exitCodes.wrong;
  }
  const hash = accounts.get(name);
  if (hash === undefined) return unknown(name);
  if (await bcrypt.compare(password, hash)) {
    process.stderr.write(`Password for user ${name} correct.\n`);
    return 0;
  }
  process.stderr.write('password verification failed\n');
  return exitCodes.wrong;
}

async function linesOf(file: string) {
  const bytes = await readRegularFile(file).catch(explain(file));
  return parseHtpasswd(bytes.toString('utf8'));
}

function unknown(name: string): number {
  process.stderr.write(`User ${name} not found\n`);
  return exitCodes.unknown;
}

function explain(file: string): (error: NodeJS.ErrnoException) => never {
  return (error) => {
    const hint = error.code === 'ENOENT' ? "; use '-c' to create it" : '';
    throw new Error(`cannot read file ${file}: ${describeUnreadable(error)}${hint}`, {
      cause: error,
    });
  };
}
