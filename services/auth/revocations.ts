import { createHmac } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import type { Accounts } from '#libs/auth/htpasswd.ts';
import type { Logger } from '#libs/log/logger.ts';
import { editFile } from '#libs/process/edit-file.ts';
import { watchFile } from '#libs/process/watch-file.ts';
import { readIfPresent } from './read-if-present.ts';
import { lookEvery, stateFiles } from './state-files.ts';

/** Seconds an entry is kept: longer than any token or unfinished upload can matter. */
const keptFor = 2 * 24 * 60 * 60;

/** Subject → seconds since the epoch: tokens issued before are void. */
const timesSchema = z.record(z.string(), z.number());

const stateSchema = z.object({
  /** Account → keyed fingerprint of its secret when last seen. */
  accounts: z.record(z.string(), z.string()),
  revoked: timesSchema,
});

type State = z.infer<typeof stateSchema>;

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
  look(): Promise<void>;
  close(): void;
}

export interface RevocationOptions {
  stateFolder: string;
  /** Makes fingerprints useless to whoever reads the file. */
  secret: Buffer;
  log: Logger;
  /** Called when an operator made something void. */
  onVoided?: () => void;
}

export async function openRevocations({
  stateFolder,
  secret,
  log,
  onVoided = () => {},
}: RevocationOptions): Promise<Revocations> {
  const path = stateFiles.revoked(stateFolder);
  const voidedPath = stateFiles.voided(stateFolder);
  let state: State | undefined = await readState(path);
  let voided = await readVoided(voidedPath);
  let all = mergeTimes(state?.revoked ?? {}, voided);

  const load = async () => {
    voided = await readVoided(voidedPath);
    all = mergeTimes(state?.revoked ?? {}, voided);
    onVoided();
  };
  const watch = watchFile(voidedPath, load, log, lookEvery);

  const fingerprint = (account: string, hash: string) =>
    createHmac('sha256', secret).update(`${account}:${hash}`).digest('base64url');

  return {
    async follow(accounts, onVoid = () => {}) {
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
        log.info({ subject: account }, 'secret changed or account removed; its tokens are void');
      }
      state = { accounts: seen, revoked };
      all = mergeTimes(revoked, voided);
      if (changed) onVoid();
      const text = JSON.stringify(state);
      if (JSON.stringify(before) === text) return changed;
      await writeState(path, text).catch((error: unknown) => {
        log.warn({ err: error, file: path }, 'revocations are kept in memory only');
      });
      return changed;
    },
    all: () => all,
    notBefore: (subject) => (Object.hasOwn(all, subject) ? all[subject] : undefined),
    look: watch.look,
    close: watch.close,
  };
}

/**
 * Makes void what was issued to a subject so far: what `portcullis token revoke` does.
 * @param now seconds since the epoch
 */
export async function voidTokens(stateFolder: string, subject: string, now: number): Promise<void> {
  await editFile(stateFiles.voided(stateFolder), (text) => {
    const times = timesSchema.parse((text === undefined ? {} : parse(text)) ?? {});
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

async function readVoided(path: string): Promise<Record<string, number>> {
  const text = await readIfPresent(path);
  try {
    return timesSchema.parse((text === undefined ? {} : parse(text)) ?? {});
  } catch (error) {
    throw new Error(`${path} cannot be used: ${(error as Error).message}`, { cause: error });
  }
}

async function readState(path: string): Promise<State | undefined> {
  try {
    const text = await readIfPresent(path);
    if (text === undefined) return undefined;
    // We write JSON, which is YAML and is read a hundred times as fast.
    return stateSchema.parse(text.startsWith('{') ? JSON.parse(text) : parse(text));
  } catch (error) {
    throw new Error(
      `${path} cannot be used: ${(error as Error).message}; remove it to start anew`,
      { cause: error },
    );
  }
}

async function writeState(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await editFile(path, () => text);
}
