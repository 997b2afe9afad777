import { type Digest, isDigest } from '#libs/oci/digest.ts';
import { ifPresent, type StorageDriver, type StoragePath } from '../../storage/driver.ts';
import { readAll } from '../small-files.ts';

/** What a link file says: a crash of the original registry may leave an empty or torn one. */
export type LinkState = Digest | 'absent' | 'torn';

export async function readLinkState(driver: StorageDriver, path: StoragePath): Promise<LinkState> {
  const bytes = await ifPresent(readAll(driver, path));
  if (bytes === undefined) return 'absent';
  const text = bytes.toString('utf8').trim();
  return isDigest(text) ? text : 'torn';
}
