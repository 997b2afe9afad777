import { stat } from 'node:fs/promises';
import { ConfigurationError, loadConfiguration } from '#libs/config/load-configuration.ts';
import { type Settings, toSettings } from '#libs/config/settings.ts';
import { ownerOfTree } from '#libs/process/choose-user.ts';
import { switchUser } from '#libs/process/drop-privileges.ts';
import { paths } from '../registry/paths.ts';
import { createDriver } from '../storage/create-driver.ts';
import { ifPresent, type StorageDriver } from '../storage/driver.ts';

export interface OpenStorage {
  driver: StorageDriver;
  settings: Settings;
}

/** Opens the storage of a configuration. @throws Error with one clear sentence */
export async function openStorage(
  config: string | undefined,
  { readOnly }: { readOnly: boolean },
): Promise<OpenStorage> {
  const loaded = await loadConfiguration(config);
  const stops = loaded.diagnostics.filter(
    ({ level, path: key }) => level === 'stop' && key.startsWith('storage'),
  );
  if (stops.length > 0) throw new ConfigurationError(stops.map(({ message }) => message));
  const settings = toSettings(loaded);
  const { storage } = settings;
  if (storage.driver === 'filesystem') {
    // A folder that is not there would be made, and found to hold nothing.
    if ((await stat(storage.root).catch(() => undefined)) === undefined) throw noRegistry(storage);
    await becomeOwner(storage.root, settings.user);
  }
  const driver = await createDriver({ storage, readOnly });
  if ((await ifPresent(driver.stat(paths.root))) === undefined) throw noRegistry(storage);
  return { driver, settings };
}

function noRegistry(storage: Settings['storage']): Error {
  const where = storage.driver === 'filesystem' ? storage.root : storage.driver;
  return new Error(`${where} holds no registry; is storage.filesystem.rootdirectory right?`);
}

/**
 * Run as root, a command works as the owner of the storage: what root makes, the registry that runs as
 * somebody else could not move or remove.
 */
async function becomeOwner(root: string, user: Settings['user']): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const owner = typeof user === 'object' ? user : await ownerOfTree(root);
  if (owner === undefined || owner.uid === 0) return;
  try {
    switchUser(owner);
  } catch {
    // Where users cannot be changed, the registry serves as root as well.
  }
}
