import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { loadConfiguration } from '#libs/config/load-configuration.ts';
import type { StorageSettings } from '#libs/config/sections/storage.ts';
import type { UserSetting } from '#libs/config/sections/user.ts';
import { type Settings, toSettings } from '#libs/config/settings.ts';
import { createReadiness } from '#libs/http/readiness.ts';
import { createLogger } from '#libs/log/logger.ts';
import { ownerOfTree } from '#libs/process/choose-user.ts';
import { switchUser } from '#libs/process/drop-privileges.ts';
import { connectRedis } from '#libs/redis/connection.ts';
import { ConfigurationError } from '#libs/values/configuration-error.ts';
import { treeFolder } from '#libs/values/storage-tree.ts';
import { openWrites } from '../open-writes.ts';
import type { Ownership } from '../ownership/keep-ownership.ts';
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
    for (const folder of [storage.root, join(storage.root, treeFolder)]) {
      const { code } = await stat(folder).then(
        () => ({ code: '' }),
        (error) => error,
      );
      if (code === 'ENOENT') throw noRegistry(storage);
    }
    await becomeOwner(storage.root, settings.user);
  }
  const driver = await createDriver({ storage, readOnly });
  if ((await ifPresent(driver.stat(paths.root))) === undefined) throw noRegistry(storage);
  return { driver, settings };
}

/** Milliseconds; who shows no sign of life for as long is dead, so that it can be told from one that lives. */
const waitForOwner = ownerTimes.stillFor + 1000;

/** Storage in which things may be made right. */
export interface OpenForRepair extends OpenStorage {
  /** Those of the cores. The first one that is asked for takes the storage as well. */
  locks: Pick<Locks, 'exclusive'>;
  close(): Promise<void>;
}

/**
 * Opens the storage to change what is there, once a lock is asked for. Without `redis:` it is for its only writer, as a core
 * is: one that serves must be stopped, or serve read-only. With it the cores and this process keep to the same locks.
 * @throws Error with one clear sentence; from `exclusive` as well
 */
export async function openForRepair(config: string | undefined): Promise<OpenForRepair> {
  const { driver, settings } = await openStorage(config, { readOnly: false });
  const log = createLogger({ ...settings.log, level: 'warn', process: 'fsck' }, process.stderr);
  const redis = settings.redis && (await connectRedis(settings.redis, log));
  const coordination = createCoordination(redis, log);
  const closing = [
    () => driver.close(),
    async () => await redis?.close(),
    () => coordination.close(),
  ];

  async function own(): Promise<Ownership> {
    const writes = openWrites({
      driver,
      shared: redis !== undefined,
      isCommand: true,
      readiness: createReadiness(),
      metrics: undefined,
      log,
      times: { ...ownerTimes, waitFor: waitForOwner },
    });
    closing.push(() => writes.close());
    await becomeSoleWriter(writes.ownership);
    return writes.ownership;
  }

  let owning: Promise<Ownership> | undefined;
  return {
    driver,
    settings,
    locks: {
      async exclusive(key) {
        owning ??= own();
        const ownership = await owning;
        const held = await coordination.locks.exclusive(key);
        const assertHeld = async () => {
          await ownership.assertOwned();
          await held.assertHeld();
        };
        return {
          assertHeld,
          async confirm() {
            await ownership.assertOwned();
            await held.confirm();
          },
          [Symbol.dispose]: () => held[Symbol.dispose](),
        };
      },
    },
    async close() {
      for (const close of closing.reverse()) await close();
    },
  };
}

/** @throws Error if somebody else owns the storage, or it cannot be known who does */
async function becomeSoleWriter({ looked, owned, ended, reason }: Ownership): Promise<void> {
  await looked;
  const why = reason();
  if (why !== undefined) {
    process.stderr.write(`${why}; waiting ${waitForOwner / 1000} s for it to stop\n`);
  }
  // Its own timers keep no process alive.
  const decided = new AbortController();
  const deadline = sleep(waitForOwner + 2000, undefined, { signal: decided.signal }).then(
    () => new Error(reason()),
    () => undefined,
  );
  const refusal = await Promise.race([owned, ended, deadline]);
  decided.abort();
  if (refusal === undefined) return;
  throw new Error(
    `nothing can be repaired: ${refusal.message}. Beside a registry that serves read-only (storage.maintenance.readonly) it can`,
  );
}

function noRegistry(storage: StorageSettings['storage']): Error {
  if (storage.driver !== 'filesystem') {
    return new Error(
      `storage.${storage.driver} is lost with its process; there is nothing to look at`,
    );
  }
  return new Error(`${storage.root} holds no registry; is storage.filesystem.rootdirectory right?`);
}

/**
 * Run as root, a command works as the owner of the storage: what root makes, the registry that runs as
 * somebody else could not move or remove.
 */
async function becomeOwner(root: string, user: UserSetting): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const owner = typeof user === 'object' ? user : await ownerOfTree(root);
  if (owner === undefined || owner.uid === 0) return;
  try {
    switchUser(owner);
  } catch {
    // Where users cannot be changed, the registry serves as root as well.
  }
}
