import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import bcrypt from 'bcryptjs';
import { parseHtpasswd } from '#libs/auth/htpasswd.ts';
import { UsageError } from '#libs/process/usage-error.ts';
import type { Command } from '../command.ts';
import { formatUser, removeUser, replaceUser } from '../htpasswd-file.ts';
import { readPassword } from '../read-password.ts';

const usage = `usage: portcullis htpasswd -B[ci] [-C COST] FILE NAME
       portcullis htpasswd -Bb[c] [-C COST] FILE NAME PASSWORD
       portcullis htpasswd -nB[i] [-C COST] NAME
       portcullis htpasswd -nbB [-C COST] NAME PASSWORD
       portcullis htpasswd -D FILE NAME
       portcullis htpasswd -v[bi] FILE NAME [PASSWORD]`;

/** As Apache's program ends: the password is wrong; there is no such user. */
const exitCodes = { wrong: 3, unknown: 6 } as const;

/**
 * `htpasswd`: Apache's program of that name, for images and scripts that call it: the same options, output
 * and exit codes. Only bcrypt is written, because only that is read by a registry.
 */
export const htpasswd: Command = async (args) => {
  const { values, positionals } = parse(args);
  const names = values.n === true ? positionals : positionals.slice(1);
  const [name = '', given, ...more] = names;
  const wanted = values.b === true ? 2 : 1;
  if (names.length !== wanted || more.length > 0 || name === '') throw new UsageError(usage);
  const [file = ''] = positionals;
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
  if (!anew) await readFile(file).catch(explain(file));
  const done = await replaceUser(file, line, anew);
  process.stderr.write(`${done} password for user ${name}\n`);
  return 0;
};

function parse(args: string[]) {
  const flag = { type: 'boolean' } as const;
  const options = { B: flag, b: flag, c: flag, i: flag, n: flag, D: flag, v: flag } as const;
  const named = Object.fromEntries(
    Object.keys(options).map((name) => [name, { ...flag, short: name }]),
  ) as Record<keyof typeof options, { type: 'boolean'; short: string }>;
  try {
    return parseArgs({
      args,
      allowPositionals: true,
      options: { ...named, C: { type: 'string', short: 'C', default: '5' } },
    });
  } catch (error) {
    throw new UsageError(`${(error as Error).message}\n${usage}`);
  }
}

function parseCost(text: string): number {
  const cost = Number(text);
  if (Number.isInteger(cost) && cost >= 4 && cost <= 17) return cost;
  throw new UsageError(`-C: "${text}" is not a bcrypt cost: use a whole number from 4 to 17`);
}

async function remove(file: string, name: string): Promise<number> {
  if ((await linesOf(file)).has(name)) {
    await removeUser(file, name);
    process.stderr.write(`Deleting password for user ${name}\n`);
  } else {
    unknown(name);
  }
  return 0;
}

async function verify(file: string, name: string, password: string): Promise<number> {
  const hash = (await linesOf(file)).get(name);
  if (hash === undefined) return unknown(name);
  if (await bcrypt.compare(password, hash)) {
    process.stderr.write(`Password for user ${name} correct.\n`);
    return 0;
  }
  process.stderr.write('password verification failed\n');
  return exitCodes.wrong;
}

async function linesOf(file: string) {
  return parseHtpasswd(await readFile(file, 'utf8').catch(explain(file))).accounts;
}

function unknown(name: string): number {
  process.stderr.write(`User ${name} not found\n`);
  return exitCodes.unknown;
}

function explain(file: string): (error: NodeJS.ErrnoException) => never {
  return (error) => {
    const hint = error.code === 'ENOENT' ? "; use '-c' to create it" : '';
    throw new Error(`cannot read file ${file}: ${error.message}${hint}`, { cause: error });
  };
}
