import type { Logger } from '#libs/log/logger.ts';
import type {
  StorageDriver,
  StorageError,
  StorageErrorCode,
  StoragePath,
} from '../storage/driver.ts';

/** Bytes that must fit: where so little does not, nothing useful does. */
const probeSize = 256 * 1024;

/** Whether the storage takes what is written to it. */
export interface WritableStorage {
  /** Why not; undefined while it does. */
  trouble(): StorageErrorCode | undefined;
  /** To be told of what could not be written; whether that is so for everybody is tried then. */
  failed(error: StorageError): void;
  close(): void;
}

export interface WatchRoomOptions {
  driver: StorageDriver;
  /** A place of its own for each try. */
  probePath: () => StoragePath;
  log: Logger;
  /** Milliseconds between two tries whether a storage that took nothing takes something again. */
  probeEvery?: number;
}

const sentences: Partial<Record<StorageErrorCode, string>> = {
  'no-space': 'the storage is full',
  'read-only': 'the storage is read-only',
};

/** The sentence on a storage that takes nothing. */
export function describeTrouble(code: StorageErrorCode): string {
  return sentences[code] ?? 'the storage fails';
}

/** Follows whether the storage takes writes. While it does not, requests still try; this only tells. */
export function watchRoom({
  driver,
  probePath,
  log,
  probeEvery = 5000,
}: WatchRoomOptions): WritableStorage {
  let trouble: StorageErrorCode | undefined;
  let probing = false;

  async function probe(): Promise<void> {
    if (probing) return;
    probing = true;
    try {
      await tryToWrite(driver, probePath());
      if (trouble !== undefined) log.info('the storage accepts writes again');
      trouble = undefined;
    } catch (error) {
      const { code = 'failed' } = error as Partial<StorageError>;
      if (trouble === undefined) {
        log.error({ err: error }, `${describeTrouble(code)}: writes fail until that changes`);
      }
      trouble = code;
    } finally {
      probing = false;
    }
  }

  const timer = setInterval(() => {
    if (trouble !== undefined) void probe();
  }, probeEvery).unref();

  return {
    trouble: () => trouble,
    failed() {
      if (trouble === undefined) void probe();
    },
    close: () => clearInterval(timer),
  };
}

async function tryToWrite(driver: StorageDriver, path: StoragePath): Promise<void> {
  try {
    const writer = await driver.openWriter(path);
    try {
      await writer.write(Buffer.alloc(probeSize));
    } finally {
      await writer.close();
    }
  } finally {
    await driver.remove(path);
  }
}
