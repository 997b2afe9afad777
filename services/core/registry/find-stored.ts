import type { Digest } from '#libs/oci/digest.ts';
import { ifPresent, type StorageDriver, type StoragePath } from '../storage/driver.ts';
import type { AnswerValidators } from './answer-validators.ts';
import { type Discardable, placeOf, type Restorer, type RestoreTo } from './discardable.ts';
import { maxLooks } from './looks.ts';
import { paths } from './paths.ts';
import { readLink } from './small-files.ts';

/** How something is looked for that may be in the trash. */
export interface FindOptions {
  /** Where it comes back to from there. */
  to?: RestoreTo | undefined;
  /** Told of what is read; what lies in the trash decides nothing for long. */
  files?: AnswerValidators | undefined;
}

/** The digest that an item's link names, also if the link has to come back from the trash. */
export async function readLinkOrRestore(
  driver: StorageDriver,
  trash: Restorer,
  item: Discardable,
  { to, files }: FindOptions = {},
): Promise<Digest | undefined> {
  let path: StoragePath | undefined = placeOf(item);
  for (let look = 1; look <= maxLooks && path !== undefined; look += 1) {
    const target = await readLink(driver, path, files?.saw);
    if (target !== undefined) return target;
    files?.discard();
    path = await trash.restore(item, to);
  }
  return undefined;
}

/** Where a blob's bytes are and how many, also if they have to come back from the trash. */
export async function findBytes(
  driver: StorageDriver,
  trash: Restorer,
  digest: Digest,
  { to, files }: FindOptions = {},
): Promise<{ path: StoragePath; size: number } | undefined> {
  let path: StoragePath | undefined = paths.blob(digest);
  for (let look = 1; look <= maxLooks && path !== undefined; look += 1) {
    const info = await ifPresent(driver.stat(path, files?.saw));
    // A folder is none, whoever put it there.
    if (info?.kind === 'file') return { path, size: info.size };
    files?.discard();
    path = await trash.restore({ kind: 'blob', digest }, to);
  }
  return undefined;
}
