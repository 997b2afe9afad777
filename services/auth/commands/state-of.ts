import { resolve } from 'node:path';
import { loadConfiguration } from '#libs/config/load-configuration.ts';
import { type AuthSettings, toSettings } from '#libs/config/settings.ts';
import { becomeOwnerOf } from '#libs/process/serving-user.ts';

/** The token service's settings of a configuration. @throws Error if it has none */
export async function authOf(config: string | undefined): Promise<AuthSettings> {
  const { auth } = toSettings(await loadConfiguration(config));
  if (auth === undefined) throw new Error('the configuration has no auth.htpasswd');
  return auth;
}

/** Auth's state folder: as it is named, or of a configuration. */
export async function stateOf(values: {
  state?: string | undefined;
  config?: string | undefined;
}): Promise<string> {
  const state = resolve(values.state ?? (await authOf(values.config)).state);
  await becomeOwnerOf(state);
  return state;
}
