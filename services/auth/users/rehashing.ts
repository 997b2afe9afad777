import { access, constants, lstat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { type Accounts, accountIn, defaultCost } from '#libs/auth/htpasswd.ts';
import { editFile } from '#libs/files/edit-file.ts';
import type { Logger } from '#libs/log/logger.ts';
import { costOf } from '#libs/values/account.ts';
import type { BcryptPool } from './bcrypt-pool.ts';
import type { SecretHistory } from './secret-history.ts';

/** Milliseconds that a password waits, so that the file is written once for many. */
const usualDelay = 5000;
/** Passwords that wait at once; others are made anew at a later login. */
const maxPending = 1000;

export interface RehashOptions {
  /** auto: only in a file that belongs to who serves, who is not root; on: wherever it can be written. */
  mode: 'auto' | 'on';
  /** Told before a hash changes, so that tokens bound to the secret go on. */
  history: Pick<SecretHistory, 'add'>;
  /** Milliseconds. */
  delay?: number;
}

/** A password and its new hash. */
export interface Rehashed {
  account: string;
  password: string;
  hash: string;
}

export interface RehashingOptions extends RehashOptions {
  path: string;
  pool: BcryptPool;
  log: Logger;
  /** The file as it is in force, and the highest cost in it. */
  inForce: () => { text: string; accounts: Accounts; cost: number };
  onWritten: (made: readonly Rehashed[]) => Promise<void>;
}

/** Makes hashes anew that cost less than the file's highest, or than what is usual, when the password is at hand. */
export interface Rehashing {
  /** Considers a password that was right. Never throws. */
  consider(account: string, password: string, hash: string): Promise<void>;
  close(): Promise<void>;
}

/** Somebody else has changed the file: theirs counts, and the next login tries again. */
class ChangedMeanwhileError extends Error {}

export function createRehashing(options: RehashingOptions): Rehashing {
  const { path, pool, log, inForce, onWritten, mode, history, delay = usualDelay } = options;
  let pending = new Map<string, { password: string; hash: string }>();
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> = Promise.resolve();
  let given = false;
  const requiredCost = () => Math.max(inForce().cost, defaultCost);

  async function isOurs(): Promise<boolean> {
    try {
      const found = await lstat(path);
      const user = process.geteuid?.() ?? 0;
      if (!found.isFile() || (mode === 'auto' && (user === 0 || found.uid !== user))) return false;
      await access(path, constants.W_OK);
      await access(dirname(path), constants.W_OK);
      return true;
    } catch {
      return false;
    }
  }

  async function write(): Promise<void> {
    const batch = pending;
    pending = new Map();
    if (batch.size === 0 || !(await isOurs())) return;
    const made: (Rehashed & { before: string })[] = [];
    for (const [account, { password, hash: before }] of batch) {
      const { answer: hash } = await pool.run({ kind: 'hash', password, cost: requiredCost() });
      made.push({ account, password, before, hash });
    }
    await history.add(made.map(({ account, before, hash: after }) => ({ account, before, after })));
    await editFile(path, (text = '') => {
      // What is not in force yet may be half of what somebody is writing.
      if (text !== inForce().text) throw new ChangedMeanwhileError();
      return replaceHashes(text, made);
    });
    await onWritten(made);
    log.info({ file: path, users: made.length }, 'password hashes upgraded');
  }

  function flush(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    running = running.then(write).catch((error: unknown) => {
      if (error instanceof ChangedMeanwhileError) return;
      // A folder that cannot be written will not be tried at every login.
      given = true;
      log.warn({ err: error, file: path }, 'password hashes cannot be upgraded');
    });
    return running;
  }

  return {
    async consider(account, password, hash) {
      if (given || costOf(hash) >= requiredCost() || pending.size >= maxPending) return;
      pending.set(account, { password, hash });
      timer ??= setTimeout(() => void flush(), delay).unref();
    },
    close: flush,
  };
}

/** The text with other hashes, where the old ones still stand; all else stays letter by letter. */
function replaceHashes(
  text: string,
  made: readonly { account: string; before: string; hash: string }[],
): string {
  const byAccount = new Map(made.map((one) => [one.account, one]));
  return text
    .split('\n')
    .map((line) => {
      const [name = '', hash = '', ...rest] = line.split(':');
      const one = byAccount.get(accountIn(line) ?? '');
      if (one === undefined || hash.trim() !== one.before) return line;
      return [name, hash.replace(one.before, () => one.hash), ...rest].join(':');
    })
    .join('\n');
}
