import type { Settings } from '#libs/config/settings.ts';
import { readIfPresent } from '#libs/files/read-text.ts';
import { loadIdentitySecret, readIdentitySecret } from '../keys/identity-secret.ts';
import { assertOwnKeys, isStateShared } from '../keys/own-keys.ts';
import { loadKeys } from '../keys/signing-key.ts';
import { readRevocations } from '../revocations.ts';
import { parseRobots } from '../robots/robots-file.ts';
import { stateFiles } from '../state-files.ts';
import { openSecretHistory } from '../users/secret-history.ts';
import { switchToControllerOfState } from './state-of.ts';

/**
 * Looks at what is in auth's state folder, as a start does, and changes nothing. Root becomes whoever decides what is in it, for
 * good: to be called when nothing else is left to look at.
 * @returns why it could not be looked at, which only who serves can do then
 * @throws Error with one clear sentence about what keeps auth from starting
 */
export async function checkState(settings: Settings): Promise<string | undefined> {
  if (settings.auth === undefined) return undefined;
  const folder = settings.auth.state;
  try {
    await switchToControllerOfState(folder);
  } catch (error) {
    return notLookedAt(folder, (error as Error).message);
  }
  try {
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
  } catch (error) {
    if (isUnreadable(error)) return notLookedAt(folder, 'this user may not read all of it');
    throw error;
  }
  return undefined;
}

const notLookedAt = (folder: string, why: string) =>
  `portcullis.auth.state: ${folder} was not looked at: ${why}`;

function isUnreadable(error: unknown): boolean {
  for (let one = error as NodeJS.ErrnoException | undefined; one !== undefined; ) {
    if (one.code === 'EACCES') return true;
    one = one.cause as NodeJS.ErrnoException | undefined;
  }
  return false;
}
