import { stat } from 'node:fs/promises';
import { ConfigurationError, loadConfiguration } from '#libs/config/load-configuration.ts';
import { type Settings, toSettings } from '#libs/config/settings.ts';
import { createReadiness } from '#libs/http/readiness.ts';
import { createLogger } from '#libs/log/logger.ts';
import { ownerOfTree } from '#libs/process/choose-user.ts';
import { switchUser } from '#libs/process/drop-privileges.ts';
import { connectRedis } from '#libs/redis/connection.ts';
import { openWrites } from '../open-writes.ts';
import { ownerTimes } from '../ownership/owner.ts';
import { paths } from '../registry/paths.ts';
import { createCoordination } from '../sessions/create-coordination.ts';
import type { Locks } from '../sessions/locks.ts';
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

/** Milliseconds; who shows no sign of life for as long is dead, so that it can be told from one that lives. */
const waitForOwner = ownerTimes.stillFor + 1000;

/** Storage that nobody else changes, but cores that respect the same locks. */
export interface OpenForRepair extends OpenStorage {
  locks: Locks;
  close(): Promise<void>;
}

/**
 * Opens the storage to change what is there. Without `redis:` that is for the tree's only writer, as a core is: one that
 * serves must be stopped, or serve read-only. With it the cores and this process keep to the same locks.
 * @throws Error with one clear sentence
 */
export async function openForRepair(config: string | undefined): Promise<OpenForRepair> {
  const { driver, settings } = await openStorage(config, { readOnly: false });
  const log = createLogger({ ...settings.log, level: 'warn', process: 'fsck' }, process.stderr);
  const shared = settings.redis !== undefined;
  const redis = settings.redis && (await connectRedis(settings.redis, log));
  const coordination = createCoordination(redis, log);
  const writes = openWrites({
    driver,
    shared,
    readiness: createReadiness(),
    metrics: undefined,
    log,
    times: { ...ownerTimes, waitFor: waitForOwner },
  });
  const close = async () => {
    await writes.close();
    await coordination.close();
    await redis?.close();
    await driver.close();
  };
  const { looked, owned, ended, reason } = writes.ownership;
  await looked;
  if (reason() !== undefined) {
    process.stderr.write(
      `a registry uses this storage, or did; waiting ${waitForOwner / 1000} s for it to stop\n`,
    );
  }
  // Its own timers keep no process alive.
  const alive = setInterval(() => {}, 1000);
  const why = await Promise.race([owned, ended]);
  clearInterval(alive);
  if (why !== undefined) {
    await close();
    throw new Error(
      `${why.message}. To repair beside it, let it serve read-only (storage.maintenance.readonly)`,
    );
  }
  return { driver: writes.driver, settings, locks: coordination.locks, close };
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
