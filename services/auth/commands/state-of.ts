import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { loadConfiguration } from '#libs/config/load-configuration.ts';
import type { AuthSettings } from '#libs/config/sections/auth.ts';
import { toSettings } from '#libs/config/settings.ts';
import { switchToControllerOf } from '#libs/process/drop-privileges.ts';
import { stateNames } from '../state-files.ts';

/** The token service's settings of a configuration. @throws Error if it has none */
export async function authOf(config: string | undefined): Promise<AuthSettings> {
  const { auth } = toSettings(await loadConfiguration(config));
  if (auth !== undefined) return auth;
  throw new Error(
    'the configuration has no auth.htpasswd: there are no accounts, no rules and no keys of ours (docs/access-control.md)',
  );
}

/** Where a command finds auth's state: the folder itself, or a configuration that names it. */
export interface StateTarget {
  state?: string | undefined;
  config?: string | undefined;
}

/**
 * Auth's state folder: as it is named, or of a configuration.
 * @param mustExist `unless configured`: one that a configuration names is made by the command if it is not there
 * @throws Error if there is no such folder
 */
export async function stateOf(
  { state, config }: StateTarget,
  mustExist: 'yes' | 'unless configured' | 'no' = 'yes',
): Promise<string> {
  const folder = resolve(state ?? (await authOf(config)).state);
  if (mustExist === 'yes' || (mustExist === 'unless configured' && state !== undefined)) {
    await assertStateFolder(folder);
  }
  await switchToControllerOfState(folder);
  return folder;
}

/** Makes root whoever decides what is in a state folder. @throws UsageError where that is no single user */
export async function switchToControllerOfState(folder: string): Promise<void> {
  await switchToControllerOf(
    folder,
    ...stateNames.map((name) => join(folder, name)),
    // What stands in it.
    join(folder, 'keys', 'x'),
  );
}

/** @throws Error if there is no such folder */
async function assertStateFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch(() => undefined);
  if (found?.isDirectory() === true) return;
  const why = found === undefined ? 'does not exist' : 'is a file';
  throw new Error(
    `${folder} ${why}; name auth's state folder (portcullis.auth.state), which the registry makes when it starts`,
  );
}
