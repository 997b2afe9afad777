import { createHmac, randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { LRUCache } from 'lru-cache';
import { type Accounts, costOf, parseHtpasswd } from '#libs/auth/htpasswd.ts';
import type { Logger } from '#libs/log/logger.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { watchFile } from '#libs/process/watch-file.ts';
import { lookEvery } from '../state-files.ts';
import { createBcryptPool } from './bcrypt-pool.ts';
import type { UserStore } from './user-store.ts';

/** Longest password that is compared, in bytes; bcrypt itself reads 72. */
const maxPasswordLength = 1024;

/** Comparisons one client may have waiting; one that is right is remembered and needs none. */
const maxPerClient = 16;

export interface HtpasswdUsers extends UserStore {
  /** Reads the file again now. */
  reload(): Promise<void>;
  /** Looks now whether the file changed. */
  look(): Promise<void>;
}

export interface HtpasswdOptions {
  path: string;
  /** The file, if it was read already. */
  first?: string | undefined;
  log: Logger;
  /** Called after a new file was taken. */
  onChange: (accounts: Accounts) => Promise<unknown>;
}

const unreadable: Record<string, string> = {
  ENOENT: 'does not exist',
  EISDIR: 'is a folder',
  EACCES: 'cannot be read by this user',
};

/**
 * Opens the htpasswd file and follows it. A file that cannot be read later on leaves the users as
 * they are.
 * @throws Error with one clear sentence if it cannot be read now
 */
export async function openHtpasswd({
  path,
  first,
  log,
  onChange,
}: HtpasswdOptions): Promise<HtpasswdUsers> {
  const pool = createBcryptPool();
  const cacheKey = randomBytes(32);
  /** Outcomes of comparisons that succeeded or still run, under a keyed hash of what was compared. */
  const verified = new LRUCache<string, Promise<boolean>>({ max: 10_000, ttl: 10 * 60_000 });
  /** Comparisons that wait or run, by client. */
  const comparisons = new Map<string, number>();
  let accounts: Accounts = new Map();
  let dummyHash = '';

  async function load(text?: string): Promise<void> {
    const parsed = parseHtpasswd(text ?? (await readFile(path, 'utf8')));
    for (const problem of parsed.problems) log.error({ file: path }, problem);
    accounts = parsed.accounts;
    dummyHash = makeDummyHash(accounts);
    await onChange(accounts);
  }

  try {
    await load(first);
  } catch (error) {
    await pool.close();
    const { code } = error as NodeJS.ErrnoException;
    const why = unreadable[code ?? ''] ?? 'cannot be read';
    throw new Error(
      `auth.htpasswd.path: ${path} ${why}; make a user with: portcullis user add --file ${path} NAME`,
      { cause: error },
    );
  }
  const watch = watchFile(path, () => load(), log, lookEvery);

  const keyOf = (...parts: string[]) =>
    createHmac('sha256', cacheKey).update(JSON.stringify(parts)).digest('base64');

  /** A comparison in the name of a client, of which each may have a few waiting. */
  async function compare(client: string, password: string, hash: string): Promise<boolean> {
    const waiting = comparisons.get(client) ?? 0;
    if (waiting >= maxPerClient) {
      throw new RegistryError('TOOMANYREQUESTS', {
        message: 'too many logins at once from your address; try again',
        retryAfter: 1,
      });
    }
    comparisons.set(client, waiting + 1);
    try {
      return await pool.compare(password, hash);
    } finally {
      const left = (comparisons.get(client) ?? 1) - 1;
      if (left > 0) comparisons.set(client, left);
      else comparisons.delete(client);
    }
  }

  return {
    accounts: () => accounts,
    reload: watch.reload,
    look: watch.look,

    async remembers(account, password) {
      const hash = accounts.get(account);
      if (hash === undefined || Buffer.byteLength(password) > maxPasswordLength) return false;
      return (await verified.get(keyOf(account, password, hash))) ?? false;
    },

    async verify(account, password, client) {
      const hash = accounts.get(account);
      if (hash === undefined || Buffer.byteLength(password) > maxPasswordLength) {
        await compare(client, password.slice(0, 72), dummyHash);
        return false;
      }
      const key = keyOf(account, password, hash);
      const known = verified.get(key);
      if (known !== undefined) return await known;
      const comparing = compare(client, password, hash);
      verified.set(key, comparing);
      // A wrong password is compared anew each time, so that guessing never gets cheaper.
      void comparing.then(
        (equal) => equal || verified.delete(key),
        () => verified.delete(key),
      );
      return await comparing;
    },

    async close() {
      watch.close();
      await pool.close();
    },
  };
}

/** A well-formed hash that nothing matches, as costly as the costliest real one. */
function makeDummyHash(accounts: Accounts): string {
  const cost = Math.max(...[...accounts.values()].map(costOf), 4);
  const [salt, digest] = [16, 23].map((length) =>
    randomBytes(length).toString('base64').replaceAll('+', '.').replaceAll('=', ''),
  );
  return `$2b$${String(cost).padStart(2, '0')}$${salt?.slice(0, 21)}.${digest?.slice(0, 31)}`;
}
