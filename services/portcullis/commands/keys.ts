import { resolve } from 'node:path';
import { createFirstKey, loadKeys } from '#libs/auth/signing-keys.ts';
import { UsageError } from '#libs/process/usage-error.ts';
import type { Command } from '../command.ts';

/** `keys create STATE`: the first signing key. */
export const keysCreate: Command = async ([action, folder, ...more]) => {
  if (action !== 'create' || folder === undefined || more.length > 0) {
    throw new UsageError('usage: portcullis keys create STATE');
  }
  const state = resolve(folder);
  const existing = await loadKeys(state);
  if (existing.length > 0) {
    throw new Error(
      `${state} already holds ${existing.length} signing key(s); nothing was changed`,
    );
  }
  process.stdout.write(`${await createFirstKey(state)}\n`);
  return 0;
};
