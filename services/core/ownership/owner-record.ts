import { paths } from '../registry/paths.ts';
import { readAll } from '../registry/small-files.ts';
import { ifPresent, type StorageDriver } from '../storage/driver.ts';

/** Which core owns the tree, for other cores and for people. Cores before claims know this file alone. */
export interface OwnerRecord {
  id: string;
  /** Grows while the owner lives. */
  counter: number;
  host: string;
  /** Names the owner's process; see {@link describeProcess}. Empty if it does not tell. */
  process: string;
  /** The number of its claim; undefined for a core that makes none. */
  claim?: number | undefined;
  /** Whether it is a command, which goes by itself: it is waited for, however long that takes. */
  isCommand?: boolean | undefined;
}

/** The id of all cores that agree in Redis. */
export const sharedId = 'redis';

/** @returns undefined where there is none, or one that cannot be understood */
export async function readRecord(driver: StorageDriver): Promise<OwnerRecord | undefined> {
  const bytes = await ifPresent(readAll(driver, paths.owner));
  try {
    const record = JSON.parse(bytes?.toString('utf8') ?? '') as Partial<OwnerRecord>;
    const { id, counter, host, process: owner, claim, isCommand } = record;
    if (typeof id !== 'string' || typeof counter !== 'number') return undefined;
    const claimed = typeof claim === 'number' ? { claim } : {};
    const command = isCommand === true ? { isCommand } : {};
    return {
      id,
      counter,
      host: String(host),
      process: String(owner ?? ''),
      ...claimed,
      ...command,
    };
  } catch {
    return undefined;
  }
}

export async function writeRecord(driver: StorageDriver, record: OwnerRecord): Promise<void> {
  await driver.put(paths.owner, Buffer.from(JSON.stringify(record)));
}
