import { LRUCache } from 'lru-cache';
import { atMost } from '#libs/limits/cache-size.ts';
import type { Digest } from '#libs/oci/digest.ts';
import type { RepositoryName } from '#libs/oci/reference.ts';

/** How many repositories are remembered for one blob, and looked at for one mount. */
export const sourcesPerBlob = 4;

/**
 * Which repositories lately had which blobs: hints for a mount that names no source. Nothing relies on
 * them; each is verified before use.
 */
export interface KnownSources {
  remember(repository: RepositoryName, digest: Digest): void;
  /** At most {@link sourcesPerBlob}, the latest first. */
  find(digest: Digest): readonly RepositoryName[];
}

export function createKnownSources(blobs = 50_000): KnownSources {
  const known = new LRUCache<Digest, readonly RepositoryName[]>(atMost(blobs));
  return {
    remember(repository, digest) {
      const before = known.get(digest) ?? [];
      if (before[0] === repository) return;
      const others = before.filter((name) => name !== repository);
      known.set(digest, [repository, ...others].slice(0, sourcesPerBlob));
    },
    find: (digest) => known.get(digest) ?? [],
  };
}
