import { access, constants } from 'node:fs/promises';
import type { Settings } from '#libs/config/settings.ts';
import { readIfPresent } from '#libs/files/read-text.ts';
import { loadIdentitySecret, readIdentitySecret } from '../keys/identity-secret.ts';
import { assertOwnKeys, isStateShared } from '../keys/own-keys.ts';
import { loadKeys } from '../keys/signing-key.ts';
import { readRevocations } from '../revocations.ts';
import { parseRobots } from '../robots/robots-file.ts';
import { stateFiles } from '../state-files.ts';
import { openSecretHistory } from '../users/secret-history.ts';

/**
 * Looks at what is in auth's state folder, as a start does, and changes nothing. What this user may not read only who serves
 * can judge.
 * @throws Error with one clear sentence about what keeps auth from starting
 */
export async function checkState(settings: Settings): Promise<void> {
  if (settings.auth === undefined) return;
  const folder = settings.auth.state;
  const mayRead = await access(folder, constants.R_OK | constants.X_OK).then(
    () => true,
    ({ code }: NodeJS.ErrnoException) => code === 'ENOENT',
  );
  if (!mayRead) return;
  const [oldest, ...others] = await loadKeys(folder);
  if (oldest === undefined) assertOwnKeys(folder, { isShared: isStateShared(settings) });
  const secret =
    oldest === undefined
      ? ((await readIdentitySecret(folder)) ?? Buffer.alloc(32))
      : await loadIdentitySecret(folder, [oldest, ...others]);
  const robots = stateFiles.robots(folder);
  parseRobots(await readIfPresent(robots), robots);
  await readRevocations(folder);
  await openSecretHistory(stateFiles.rehashed(folder), secret);
}
