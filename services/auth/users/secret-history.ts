import { createHmac } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { z } from 'zod';
import { editFile } from '#libs/files/edit-file.ts';
import { readIfPresent } from '#libs/files/read-text.ts';
import { describeInvalid } from '#libs/values/describe-invalid.ts';

/** Forms of one account's secret that are remembered besides the first. */
const maxForms = 8;

/** What a fingerprint is for; one cannot be taken for the other. */
export type Purpose = 'account' | 'identity';

/** A secret that is kept in another form than before, as the same password under another hash. */
export interface OtherForm {
  account: string;
  before: string;
  after: string;
}

/**
 * Knows secrets by fingerprints which stay the same while the secret does, though its hash was made anew: tokens that
 * are bound to it go on.
 */
export interface SecretHistory {
  /** @param form how the secret is kept now: a hash */
  fingerprint(purpose: Purpose, account: string, form: string): string;
  /**
   * Writes down that a secret is about to be kept in another form.
   * @throws Error if it cannot be written; then the form must stay
   */
  add(forms: readonly OtherForm[]): Promise<void>;
  /** Reads what another token service has written. */
  refresh(): Promise<void>;
}

/** Account → fingerprint of a later form → those of the first. */
const fileSchema = z.record(
  z.string(),
  z.record(z.string(), z.object({ account: z.string(), identity: z.string() })),
);

type Forms = z.infer<typeof fileSchema>;

/**
 * @param path of the file that keeps it
 * @param secret makes fingerprints useless to whoever reads them
 * @throws Error if the file cannot be used
 */
export async function openSecretHistory(path: string, secret: Buffer): Promise<SecretHistory> {
  let forms: Forms = Object.create(null) as Forms;
  let seen = '';

  const plain = (purpose: Purpose, account: string, form: string) =>
    createHmac('sha256', secret)
      .update(purpose === 'account' ? `${account}:${form}` : `identity:${account}:${form}`)
      .digest('base64url');

  function originOf(account: string, form: string) {
    const own = Object.hasOwn(forms, account) ? forms[account] : undefined;
    const known = own?.[plain('account', account, form)];
    if (known !== undefined) return known;
    return { account: plain('account', account, form), identity: plain('identity', account, form) };
  }

  async function refresh(): Promise<void> {
    const found = await stat(path).catch(() => undefined);
    const state = found === undefined ? '' : `${found.ino} ${found.size} ${found.mtimeMs}`;
    if (state === seen) return;
    forms = parseForms(await readIfPresent(path), path);
    seen = state;
  }
  await refresh();

  return {
    refresh,
    fingerprint: (purpose, account, form) => originOf(account, form)[purpose],
    async add(others) {
      await editFile(path, (text) => {
        const all = parseForms(text, path);
        forms = all;
        for (const { account, before, after } of others) {
          const earlier = Object.hasOwn(all, account) ? Object.entries(all[account] ?? {}) : [];
          const entry = [plain('account', account, after), originOf(account, before)] as const;
          all[account] = Object.fromEntries([...earlier, entry].slice(-maxForms));
        }
        return `${JSON.stringify(all)}\n`;
      });
    },
  };
}

function parseForms(text: string | undefined, path: string): Forms {
  try {
    return fileSchema.parse(text === undefined ? {} : JSON.parse(text));
  } catch (error) {
    throw new Error(`${path} cannot be used: ${describeInvalid(error)}; remove it to start anew`, {
      cause: error,
    });
  }
}
