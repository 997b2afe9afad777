import { createHmac } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import type { Accounts } from '#libs/auth/htpasswd.ts';
import type { Logger } from '#libs/log/logger.ts';

/** Seconds an entry is kept: longer than any token or unfinished upload can matter. */
const keptFor = 2 * 24 * 60 * 60;

const stateSchema = z.object({
  /** Account → keyed fingerprint of its hash line when last seen. */
  accounts: z.record(z.string(), z.string()),
  /** Account → seconds since the epoch: tokens issued before are void. */
  revoked: z.record(z.string(), z.number()),
});

type State = z.infer<typeof stateSchema>;

/**
 * Which tokens died before their time: those of an account whose password changed or that was
 * removed. Kept in the state folder, so that a change made while auth was stopped counts too.
 */
export interface Revocations {
  /** Compares the accounts with those seen last. @returns true if any token became void */
  follow(accounts: Accounts): Promise<boolean>;
  /** Subject → seconds since the epoch. */
  all(): Readonly<Record<string, number>>;
}

export interface RevocationOptions {
  stateFolder: string;
  /** Makes fingerprints useless to whoever reads the file. */
  secret: Buffer;
  log: Logger;
}

export async function openRevocations({
  stateFolder,
  secret,
  log,
}: RevocationOptions): Promise<Revocations> {
  const path = join(stateFolder, 'revoked.yml');
  let state: State | undefined = await readState(path);

  const fingerprint = (account: string, hash: string) =>
    createHmac('sha256', secret).update(`${account}:${hash}`).digest('base64url');

  return {
    async follow(accounts) {
      const now = Math.floor(Date.now() / 1000);
      const before = state;
      const seen = Object.fromEntries(
        [...accounts].map(([account, hash]) => [account, fingerprint(account, hash)]),
      );
      const revoked = Object.fromEntries(
        Object.entries(before?.revoked ?? {}).filter(([, time]) => time > now - keptFor),
      );
      let changed = false;
      for (const [account, old] of Object.entries(before?.accounts ?? {})) {
        if (Object.hasOwn(seen, account) && seen[account] === old) continue;
        changed = true;
        // Tokens carry whole seconds: those of this very second must go too.
        revoked[account] = now + 1;
        log.info({ subject: account }, 'password changed or account removed; its tokens are void');
      }
      state = { accounts: seen, revoked };
      if (JSON.stringify(before) === JSON.stringify(state)) return changed;
      await writeState(path, state).catch((error: unknown) => {
        log.warn({ err: error, file: path }, 'revocations are kept in memory only');
      });
      return changed;
    },
    all: () => state?.revoked ?? {},
  };
}

async function readState(path: string): Promise<State | undefined> {
  try {
    return stateSchema.parse(parse(await readFile(path, 'utf8')));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Error(
      `${path} cannot be used: ${(error as Error).message}; remove it to start anew`,
      {
        cause: error,
      },
    );
  }
}

async function writeState(path: string, state: State): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
  const temporary = `${path}.${process.pid}.tmp`;
  const handle = await open(temporary, 'w', 0o600);
  try {
    await handle.writeFile(stringify(state));
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, path);
}
