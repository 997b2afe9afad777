import type { Digest } from '#libs/oci/digest.ts';
import type { RepositoryName } from '#libs/oci/reference.ts';
import type { StoragePath } from '../storage/driver.ts';
import { paths } from './paths.ts';

/** One thing of the tree that a collection may take away and a request may want back. */
export type Discardable =
  | { kind: 'blob'; digest: Digest }
  | { kind: 'layer' | 'manifest'; repository: RepositoryName; digest: Digest };

/** Names an item in a set. */
export function keyOf(item: Discardable): string {
  return item.kind === 'blob' ? item.digest : `${item.kind} ${item.repository} ${item.digest}`;
}

/** Where it stands in the tree. */
export function placeOf(item: Discardable): StoragePath {
  switch (item.kind) {
    case 'blob':
      return paths.blob(item.digest);
    case 'layer':
      return paths.layerLink(item.repository, item.digest);
    case 'manifest':
      return paths.revisionLink(item.repository, item.digest);
  }
}

/**
 * Where something from the trash must be for who misses it: anywhere that it can be read, to be sent to a client; or in its
 * place, to be referred to by what is written now.
 */
export type RestoreTo = 'anywhere' | 'its place';

/** Brings back what a collection took away. */
export interface Restorer {
  /**
   * Puts an item back that somebody misses; a manifest only after what it refers to, so that whoever finds it
   * finds that as well.
   * @returns where it can be read now: in its place; or in the trash, if it cannot be brought back and need not be, or if
   *   the tree is read-only; undefined if there is no such thing
   * @throws Error if it must be in its place, as it must where nothing is said, and cannot be brought there
   */
  restore(item: Discardable, to?: RestoreTo): Promise<StoragePath | undefined>;
}
