import type { Digest } from '#libs/oci/digest.ts';
import type { Locks } from '../../sessions/locks.ts';
import { ifPresent, type StorageDriver } from '../../storage/driver.ts';
import { type Discardable, placeOf } from '../discardable.ts';
import type { Trash } from '../garbage/trash.ts';
import type { NamedBlobs, Report, TreeSummary } from './finding.ts';

export interface CheckOptions {
  /** Whether every blob is read and compared with its digest. */
  hash: boolean;
  /**
   * Makes right what can be, under these locks: those of all who write to the tree meanwhile. Undefined: only looks.
   */
  repair?: Pick<Locks, 'exclusive'> | undefined;
  /** Uploads opened before are orphans. */
  uploadsBefore: Date;
  onProgress?: (progress: CheckProgress) => void;
  now?: () => Date;
}

export interface CheckProgress {
  phase: 'repositories' | 'uploads' | 'blobs' | 'looking again';
  done: number;
  /** Undefined where it is not known beforehand. */
  total?: number;
}

export interface CheckContext {
  driver: StorageDriver;
  /** What lies in it is not missing, it comes back. */
  trash: Trash;
  report: Report;
  summary: TreeSummary;
  /** Filled with every digest that a repository links or names. */
  named: NamedBlobs;
  now: () => Date;
}

/** Asked of the trash as it is now: a collection goes on meanwhile. */
export async function isThere(
  { driver, trash }: CheckContext,
  item: Discardable,
): Promise<boolean> {
  return (await ifPresent(driver.stat(placeOf(item)))) !== undefined || (await trash.holds(item));
}

/** The same of the bytes of a blob. */
export const hasBytes = (context: CheckContext, digest: Digest) =>
  isThere(context, { kind: 'blob', digest });
