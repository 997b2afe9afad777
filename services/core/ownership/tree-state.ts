import { paths } from '../registry/paths.ts';
import { readAll } from '../registry/small-files.ts';
import { ifPresent, type StorageDriver, type StoragePath } from '../storage/driver.ts';
import { type Claim, highestClaim } from './claims.ts';
import { type OwnerRecord, readRecord } from './owner-record.ts';

/** What the tree says of its owner. */
export interface TreeState {
  claim: Claim | undefined;
  record: OwnerRecord | undefined;
  /** A text that changes while the owner lives. */
  signs: string;
}

export async function inspectTree(driver: StorageDriver): Promise<TreeState> {
  const claim = await highestClaim(driver);
  const record = await readRecord(driver);
  // Where the disk is full, the time of a file is all that an owner can change.
  const claimed =
    claim === undefined || claim.released
      ? undefined
      : await modifiedAt(driver, paths.claim(claim.number));
  const signs = JSON.stringify([claim, record?.id, record?.counter, claimed]);
  return { claim, record, signs };
}

/** True if a core owns the tree, or did when it ended without giving it back. */
export function isHeld({ claim, record }: TreeState): boolean {
  if (claim === undefined) return record !== undefined;
  if (!claim.released) return true;
  // A core that makes no claims may have come later.
  return record !== undefined && record.claim === undefined;
}

/** True if the record tells of whoever made the highest claim. */
export function describesClaim({ claim, record }: TreeState): boolean {
  return claim !== undefined && record?.claim === claim.number;
}

async function modifiedAt(driver: StorageDriver, path: StoragePath): Promise<number | undefined> {
  // A network filesystem asks its server for a file's times when the file is opened.
  await ifPresent(readAll(driver, path));
  return (await ifPresent(driver.stat(path)))?.modified.getTime();
}
