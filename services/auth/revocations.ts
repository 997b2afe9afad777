import { dirname } from 'node:path';
import { stringify } from 'yaml';
import { z } from 'zod';
import type { Accounts } from '#libs/auth/htpasswd.ts';
import { parseYaml } from '#libs/config/parse-yaml.ts';
import { editFile } from '#libs/files/edit-file.ts';
import { makeFolders } from '#libs/files/make-folders.ts';
import { readIfPresent } from '#libs/files/read-text.ts';
import { watchFile } from '#libs/files/watch-file.ts';
import type { Logger } from '#libs/log/logger.ts';
import { describeInvalid } from '#libs/values/describe-invalid.ts';
import { longestTokenLife, uploadGrace } from '#libs/values/lifetimes.ts';
import { lookEvery, stateFiles } from './state-files.ts';
import type { SecretHistory } from './users/secret-history.ts';

/** Seconds an entry is kept: as long as a token from before can matter. */
const keptFor = (longestTokenLife + uploadGrace) / 1000;

/** Subject → seconds since the epoch: tokens issued before are void. */
const timesSchema = z.record(z.string(), z.number());

const stateSchema = z.object({
  /** Account → keyed fingerprint of its secret when last seen. */
  accounts: z.record(z.string(), z.string()),
  revoked: timesSchema,
  /** What operators had made void when last seen. */
  voided: timesSchema.optional(),
});

type State = z.infer<typeof stateSchema>;

/** What became of an account or of what was issued to it, for the audit log. */
export interface AccountChange {
  subject: string;
  what: 'made' | 'secret changed' | 'removed' | 'tokens revoked';
}

/**
 * Which tokens died before their time: those of an account whose secret changed or that was removed, and those
 * that an operator made void. Kept in the state folder, so that a change made while auth was stopped counts too.
 */
export interface Revocations {
  /**
   * Compares the accounts with those seen last.
   * @param onVoid called at once if any token became void, before it is written down
   * @returns true if any did
   */
  follow(accounts: Accounts, onVoid?: () => void): Promise<boolean>;
  /** Subject → seconds since the epoch. */
  all(): Readonly<Record<string, number>>;
  /** The same for one; undefined if nothing of it is void. */
  notBefore(subject: string): number | undefined;
  /** Looks now whether an operator made something void. */
  refresh(): Promise<void>;
  close(): void;
}

export interface RevocationOptions {
  stateFolder: string;
  /** Knows whether a secret is the same as before. */
  history: Pick<SecretHistory, 'fingerprint' | 'refresh'>;
  log: Logger;
  /** Called when an operator made something void. */
  onVoided?: () => void;
  /** Called for each change, also for those made while no token service ran. */
  onAccountChange?: (change: AccountChange) => void;
}

export async function openRevocations({
  stateFolder,
  history,
  log,
  onVoided = () => {},
  onAccountChange = () => {},
}: RevocationOptions): Promise<Revocations> {
  const path = stateFiles.revoked(stateFolder);
  const voidedPath = stateFiles.voided(stateFolder);
  let { state, voided } = await readRevocations(stateFolder);
  let all = mergeTimes(state?.revoked ?? {}, voided);

  /** Tells what operators made void since. */
  function tellVoided(before: Readonly<Record<string, number>> | undefined): void {
    for (const [subject, time] of Object.entries(voided)) {
      const known = before === undefined || (Object.hasOwn(before, subject) && before[subject]);
      if (known === true || known === time) continue;
      onAccountChange({ subject, what: 'tokens revoked' });
    }
  }
  // Of a folder without a memory of it nothing is known to be new.
  tellVoided(state?.voided);

  async function save(next: State): Promise<void> {
    const before = JSON.stringify(state);
    state = next;
    all = mergeTimes(state.revoked, voided);
    const text = JSON.stringify(state);
    if (before === text) return;
    await writeState(path, text).catch((error: unknown) => {
      log.warn({ err: error, file: path }, 'revocations are kept in memory only');
    });
  }

  const load = async () => {
    const before = voided;
    voided = await readVoided(voidedPath);
    all = mergeTimes(state?.revoked ?? {}, voided);
    onVoided();
    tellVoided(before);
    if (state !== undefined) await save({ ...state, voided });
  };
  const watch = watchFile(voidedPath, load, log, lookEvery);

  return {
    async follow(accounts, onVoid = () => {}) {
      const now = Math.floor(Date.now() / 1000);
      await history.refresh();
      const before = state;
      const seen = Object.fromEntries(
        [...accounts].map(([account, hash]) => [
          account,
          history.fingerprint('account', account, hash),
        ]),
      );
      const revoked = Object.fromEntries(
        Object.entries(before?.revoked ?? {}).filter(([, time]) => time > now - keptFor),
      );
      let changed = false;
      for (const [account, old] of Object.entries(before?.accounts ?? {})) {
        const there = Object.hasOwn(seen, account);
        if (there && seen[account] === old) continue;
        changed = true;
        // Tokens carry whole seconds: those of this very second must go too.
        revoked[account] = now + 1;
        log.info({ subject: account }, 'secret changed or account removed; its tokens are revoked');
        onAccountChange({ subject: account, what: there ? 'secret changed' : 'removed' });
      }
      for (const account of before === undefined ? [] : Object.keys(seen)) {
        if (Object.hasOwn(before?.accounts ?? {}, account)) continue;
        onAccountChange({ subject: account, what: 'made' });
      }
      const saved = save({ accounts: seen, revoked, voided });
      if (changed) onVoid();
      await saved;
      return changed;
    },
    all: () => all,
    notBefore: (subject) => (Object.hasOwn(all, subject) ? all[subject] : undefined),
    refresh: watch.refresh,
    close: watch.close,
  };
}

/**
 * Makes void what was issued to a subject so far: what `portcullis token revoke` does.
 * @param now seconds since the epoch
 */
export async function voidTokens(stateFolder: string, subject: string, now: number): Promise<void> {
  await editFile(stateFiles.voided(stateFolder), (text) => {
    const times = timesSchema.parse((text === undefined ? {} : parseYaml(text)) ?? {});
    return stringify({ ...times, [subject]: now + 1 });
  });
}

function mergeTimes(
  one: Readonly<Record<string, number>>,
  other: Readonly<Record<string, number>>,
): Record<string, number> {
  const merged = new Map(Object.entries(one));
  for (const [subject, time] of Object.entries(other)) {
    merged.set(subject, Math.max(time, merged.get(subject) ?? 0));
  }
  return Object.fromEntries(merged);
}

/** What the files say of it. @throws Error with one clear sentence if one cannot be used */
export async function readRevocations(stateFolder: string) {
  const [state, voided] = await Promise.all([
    readState(stateFiles.revoked(stateFolder)),
    readVoided(stateFiles.voided(stateFolder)),
  ]);
  return { state, voided };
}

async function readVoided(path: string): Promise<Record<string, number>> {
  const text = await readIfPresent(path);
  try {
    return timesSchema.parse((text === undefined ? {} : parseYaml(text)) ?? {});
  } catch (error) {
    throw new Error(`${path} cannot be used: ${describeInvalid(error)}`, { cause: error });
  }
}

async function readState(path: string): Promise<State | undefined> {
  try {
    const text = await readIfPresent(path);
    if (text === undefined) return undefined;
    // We write JSON, which is YAML and is read a hundred times as fast.
    return stateSchema.parse(text.startsWith('{') ? JSON.parse(text) : parseYaml(text));
  } catch (error) {
    throw new Error(`${path} cannot be used: ${describeInvalid(error)}; remove it to start anew`, {
      cause: error,
    });
  }
}

async function writeState(path: string, text: string): Promise<void> {
  await makeFolders(dirname(path), 0o700);
  await editFile(path, () => text);
}
