import { type Digest, type DigestAlgorithm, Digester } from '#libs/oci/digest.ts';
import { type Requester, RequestGoneError, unattended } from '../sessions/locks.ts';
import type { StorageDriver, StoragePath } from '../storage/driver.ts';

/**
 * The digest of a stored file, for an algorithm that was not computed on the way.
 * @throws RequestGoneError when nobody waits for it any more
 */
export async function digestFile(
  driver: StorageDriver,
  path: StoragePath,
  algorithm: DigestAlgorithm,
  { signal }: Requester = unattended,
): Promise<Digest> {
  const digester = new Digester(algorithm);
  for await (const bytes of await driver.read(path)) {
    if (signal.aborted) throw new RequestGoneError(signal.reason);
    digester.update(bytes as Buffer);
  }
  return digester.digest();
}
