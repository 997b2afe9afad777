import { statfs } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import type { StorageSettings } from '#libs/config/sections/storage.ts';
import type { Metrics } from '#libs/metrics/metrics.ts';

/** Milliseconds a filesystem may take to tell; one that hangs must not take the other metrics with it. */
const timeout = 1000;

interface Room {
  size: number;
  free: number;
}

/** How full the filesystem of the storage is, looked up at each scrape. */
export function measureDisk(
  storage: StorageSettings['storage'],
  metrics: Metrics | undefined,
): void {
  if (metrics === undefined || storage.driver !== 'filesystem') return;
  const { root } = storage;
  let looking: Promise<Room | undefined> | undefined;
  /** One look for both, and none while the last still hangs. */
  const lookOnce = async (): Promise<Room> => {
    looking ??= look(root).finally(() => {
      looking = undefined;
    });
    const found = await Promise.race([looking, sleep(timeout, undefined, { ref: false })]);
    return found ?? { size: Number.NaN, free: Number.NaN };
  };
  metrics.gauge(
    'portcullis_storage_size_bytes',
    'Size of the filesystem that the storage is on; NaN if it does not tell',
    [],
    async (gauge) => gauge.set((await lookOnce()).size),
  );
  metrics.gauge(
    'portcullis_storage_free_bytes',
    'Bytes left for the registry on that filesystem; NaN if it does not tell',
    [],
    async (gauge) => gauge.set((await lookOnce()).free),
  );
}

async function look(root: string): Promise<Room | undefined> {
  try {
    const { bsize, blocks, bavail } = await statfs(root);
    return { size: bsize * blocks, free: bsize * bavail };
  } catch {
    return undefined;
  }
}
