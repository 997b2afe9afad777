import { createHmac, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { type Accounts, describeSuspectFile, parseHtpasswd } from '#libs/auth/htpasswd.ts';
import type { ConfiguredUsers } from '#libs/config/sections/users.ts';
import { describeUnreadable, readIfPresent } from '#libs/files/read-text.ts';
import { watchFile } from '#libs/files/watch-file.ts';
import { atMost } from '#libs/limits/cache-size.ts';
import type { Logger } from '#libs/log/logger.ts';
import { costOf } from '#libs/values/account.ts';
import { lookEvery } from '../state-files.ts';
import { createBcryptPool } from './bcrypt-pool.ts';
import { type ComparisonQueueOptions, createComparisonQueue } from './comparison-queue.ts';
import { createRehashing, type RehashOptions } from './rehashing.ts';
import type { UserStore } from './user-store.ts';

/** Longest password that is compared, in bytes; bcrypt itself reads 72. */
const maxPasswordLength = 1024;

/** Bytes of a password that bcrypt looks at. */
const bcryptReads = 72;
/** Milliseconds that a password is remembered to be right, or to be wrong. */
const rememberedFor = 10 * 60_000;
const remembered = { ...atMost(10_000), ttl: rememberedFor } as const;

/** log2 of bcrypt's rounds from which logins take so long that it is worth a word. */
const slowCost = 14;

export interface HtpasswdUsers extends UserStore {
  /** Reads the file again now. */
  reload(): Promise<void>;
  /** Looks now whether the file changed. */
  refresh(): Promise<void>;
  /** Takes other users of the configuration. */
  configure(users: ConfiguredUsers): Promise<void>;
}

export interface HtpasswdOptions {
  path: string;
  /** Users of the configuration, who are there as well; the file may be absent then. */
  configured?: ConfiguredUsers | undefined;
  /** The file, if it was read already. */
  first?: string | undefined;
  log: Logger;
  /** Called after a new file was taken. */
  onChange: (accounts: Accounts) => Promise<unknown>;
  /** Makes cheap hashes anew at the next login; undefined leaves the file alone. */
  rehash?: RehashOptions | undefined;
  /** Called for each comparison that ends. */
  onComparison?: ComparisonQueueOptions['onEnd'];
}

const asRead = (password: string) => Buffer.from(password).toString('latin1', 0, bcryptReads);

/**
 * Opens the htpasswd file and follows it. A file that cannot be read later on, or is emptied by accident, leaves
 * the users as they are.
 * @throws Error with one clear sentence if it cannot be read now
 */
export async function openHtpasswd(options: HtpasswdOptions): Promise<HtpasswdUsers> {
  const { path, first, log, onChange, onComparison } = options;
  const pool = createBcryptPool();
  const queue = createComparisonQueue({
    pool,
    ...(onComparison === undefined ? {} : { onEnd: onComparison }),
  });
  const cacheKey = randomBytes(32);
  /** Passwords that were compared, under a keyed hash of all that decided. */
  const right = new LRUCache<string, true>(remembered);
  const wrong = new LRUCache<string, true>(remembered);
  /** Of the file. */
  let written: Accounts = new Map();
  let refused: ReadonlySet<string> = new Set();
  let configured: ConfiguredUsers = options.configured ?? new Map();
  /** All of them. */
  let accounts: Accounts = new Map();
  let text = '';
  /** Of every comparison: the highest of the file. */
  let cost = 0;
  let dummyHash = '';
  /** What was said of the lines of the file. */
  let told: readonly string[] = [];
  let isMissingTold = false;

  async function load(given?: string): Promise<void> {
    const read = given ?? (await readText());
    const unlikely = written.size > 0 ? describeSuspectFile(read) : undefined;
    if (unlikely !== undefined) throw new Error(unlikely);
    const parsed = parseHtpasswd(read);
    if (parsed.problems.join('\n') !== told.join('\n')) {
      told = parsed.problems;
      for (const problem of told) log.error({ file: path }, problem);
    }
    text = read;
    ({ accounts: written, refused } = parsed);
    await takeAll();
  }

  /** One that there is nowhere else is no mistake where the configuration has users. */
  async function readText(): Promise<string> {
    const found = await readIfPresent(path);
    if (found !== undefined) return found;
    if (configured.size === 0 || written.size > 0) {
      throw Object.assign(new Error(`there is no ${path}`), { code: 'ENOENT' });
    }
    if (!isMissingTold) {
      log.warn({ file: path }, 'there is no such file: only users of portcullis.users can log in');
    }
    isMissingTold = true;
    return '';
  }

  async function takeAll(): Promise<void> {
    // A line that gives its user no access counts as well: it may have been broken on purpose.
    const others = [...configured]
      .filter(([name]) => !refused.has(name))
      .map(([name, { hash }]) => [name, hash] as const);
    accounts = new Map([...others, ...written]);
    const before = cost;
    cost = [...accounts.values()].reduce((most, hash) => Math.max(most, costOf(hash)), 4);
    dummyHash = makeDummyHash(cost);
    if (cost >= slowCost && cost !== before) {
      log.warn(
        { file: path, cost },
        'each login takes as long as the costliest hash of the file; it need not be over 12',
      );
    }
    await onChange(accounts);
  }

  try {
    await load(first);
  } catch (error) {
    await pool.close();
    throw new Error(
      `auth.htpasswd.path: ${path}: ${describeUnreadable(error)}; make a user with: portcullis user add --file ${path} NAME`,
      { cause: error },
    );
  }
  const watch = watchFile(path, () => load(), log, lookEvery);
  const keyOf = (...parts: string[]) =>
    createHmac('sha256', cacheKey).update(JSON.stringify(parts)).digest('base64');
  const rehashing =
    options.rehash === undefined
      ? undefined
      : createRehashing({
          ...options.rehash,
          path,
          pool,
          log,
          inForce: () => ({ text, accounts: written, cost }),
          async onWritten(made) {
            await watch.reload();
            for (const { account, password, hash } of made) {
              right.set(keyOf(account, asRead(password), hash), true);
            }
          },
        });

  return {
    accounts: () => accounts,
    reload: watch.reload,
    refresh: watch.refresh,
    labelsOf: (account) => configured.get(account)?.labels,

    async configure(users) {
      configured = users;
      await takeAll();
    },

    async verify({ account, password, ...turn }) {
      const fits = Buffer.byteLength(password) <= maxPasswordLength && !password.includes('\0');
      const own = fits ? accounts.get(account) : undefined;
      const hash = own ?? dummyHash;
      // As bcrypt reads it: what differs only behind that is the same guess, and the same right password. It also
      // takes a password and its repetitions after a NUL for one, so nothing with a NUL is compared.
      const read = asRead(password);
      const key = keyOf(account, read, hash);
      const wrongKey = keyOf(account, read, own ?? '', turn.network);
      if (right.has(key)) return { right: true, compared: false };
      if (wrong.has(wrongKey)) return { right: false, compared: false };
      const compared = fits ? password : password.slice(0, 72);
      const equal = await queue.compare({ ...turn, password: compared, hash, cost });
      if (own === undefined || !equal) {
        wrong.set(wrongKey, true);
        return { right: false, compared: true };
      }
      right.set(key, true);
      if (written.has(account)) void rehashing?.consider(account, password, own);
      return { right: true, compared: true };
    },

    async close() {
      watch.close();
      await rehashing?.close();
      await pool.close();
    },
  };
}

/** A well-formed hash that nothing matches. */
function makeDummyHash(cost: number): string {
  const [salt, digest] = [16, 23].map((length) =>
    randomBytes(length).toString('base64').replaceAll('+', '.').replaceAll('=', ''),
  );
  return `$2b$${String(cost).padStart(2, '0')}$${salt?.slice(0, 21)}.${digest?.slice(0, 31)}`;
}
