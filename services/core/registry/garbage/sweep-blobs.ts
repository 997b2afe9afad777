import { type Digest, isDigest } from '#libs/oci/digest.ts';
import { ifPresent, type StorageDriver } from '../../storage/driver.ts';
import { placeOf } from '../discardable.ts';
import { paths } from '../paths.ts';
import type { Collection } from './collection.ts';

/** Takes blobs away that no repository needs. */
export async function sweepBlobs(
  { driver, options, olderThan, discard, report, whileThereIsRoom }: Collection,
  needed: ReadonlySet<Digest>,
): Promise<void> {
  let done = 0;
  for (const algorithm of await driver.list(paths.blobs())) {
    for (const prefix of await driver.list(paths.blobs(algorithm))) {
      for await (const digest of blobsIn(driver, algorithm, prefix)) {
        options.signal?.throwIfAborted();
        done += 1;
        if (done % 1000 === 0) options.onProgress?.({ phase: 'sweeping', done });
        if (needed.has(digest)) {
          report.kept.blobs += 1;
          continue;
        }
        const item = { kind: 'blob', digest } as const;
        const info = await ifPresent(driver.stat(placeOf(item)));
        if (info !== undefined && info.modified >= olderThan) {
          report.kept.blobs += 1;
          report.young.blobs += 1;
          report.young.bytes += info.size;
          continue;
        }
        if (info !== undefined) {
          report.garbage.blobs += 1;
          report.garbage.bytes += info.size;
          await whileThereIsRoom(() => discard(item, info.size));
        }
        if (!options.dryRun) await driver.prune?.(paths.blobFolder(digest));
      }
    }
  }
  options.onProgress?.({ phase: 'sweeping', done });
}

async function* blobsIn(
  driver: StorageDriver,
  algorithm: string,
  prefix: string,
): AsyncGenerator<Digest> {
  for (const hex of await driver.list(paths.blobs(algorithm, prefix))) {
    const digest = `${algorithm}:${hex}`;
    if (isDigest(digest) && hex.startsWith(prefix)) yield digest;
  }
}
