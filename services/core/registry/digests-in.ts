import { type Digest, isDigest } from '#libs/oci/digest.ts';
import type { StorageDriver, StoragePath } from '../storage/driver.ts';
import { paths } from './paths.ts';

/** The digests that the entries `<alg>/<hex>` of a folder name. */
export async function* digestsIn(
  driver: StorageDriver,
  folder: StoragePath,
): AsyncGenerator<Digest> {
  for (const algorithm of await driver.list(folder)) {
    for (const hex of await driver.list(paths.below(folder, algorithm))) {
      const digest = `${algorithm}:${hex}`;
      if (isDigest(digest)) yield digest;
    }
  }
}
