import { type Digest, isDigest } from '#libs/oci/digest.ts';
import {
  ifPresent,
  type SawFile,
  type StorageDriver,
  type StoragePath,
  type VisibleStep,
} from '../storage/driver.ts';

/** Reads a file that is known to be small, whole. @throws StorageError not-found */
export async function readAll(
  driver: StorageDriver,
  path: StoragePath,
  saw?: SawFile,
): Promise<Buffer> {
  if (driver.readWhole !== undefined) return await driver.readWhole(path, saw);
  const chunks: Buffer[] = [];
  for await (const chunk of await driver.read(path)) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/**
 * The digest a link file names. An absent link, and an empty or torn one as the original registry
 * may leave after a crash, name nothing.
 */
export async function readLink(
  driver: StorageDriver,
  path: StoragePath,
  saw?: SawFile,
): Promise<Digest | undefined> {
  const bytes = await ifPresent(readAll(driver, path, saw));
  const text = bytes?.toString('utf8').trim() ?? '';
  return isDigest(text) ? text : undefined;
}

/** Writes a link as the original registry does: the digest, no newline. Kept over a power loss. */
export async function writeLink(
  driver: StorageDriver,
  path: StoragePath,
  digest: Digest,
  step?: VisibleStep,
): Promise<void> {
  await driver.put(path, Buffer.from(digest), step);
}

/** Writes a small new file that need only survive the end of this process. */
export async function writeVolatile(
  driver: StorageDriver,
  path: StoragePath,
  text: string,
): Promise<void> {
  const writer = await driver.openWriter(path);
  try {
    await writer.write(Buffer.from(text));
  } finally {
    await writer.close();
  }
}
