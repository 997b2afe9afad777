import { type Digest, isDigest } from '#libs/oci/digest.ts';
import type { RepositoryName } from '#libs/oci/reference.ts';
import type { StorageDriver, VisibleStep } from '../storage/driver.ts';
import { paths } from './paths.ts';
import { writeLink } from './small-files.ts';

/** Which manifests of a repository have a given subject: one small file for each. */
export interface ReferrersIndex {
  /** Durable when it resolves. */
  add(
    repository: RepositoryName,
    subject: Digest,
    digest: Digest,
    step?: VisibleStep,
  ): Promise<void>;
  remove(
    repository: RepositoryName,
    subject: Digest,
    digest: Digest,
    step?: VisibleStep,
  ): Promise<void>;
  /** Digests of the manifests with this subject behind a digest, in byte order; empty: from the first on. */
  after(repository: RepositoryName, subject: Digest, last: string): AsyncGenerator<Digest>;
}

/** Names read at once. */
const atOnce = 200;

export function createReferrersIndex(driver: StorageDriver): ReferrersIndex {
  return {
    async add(repository, subject, digest, step) {
      await writeLink(driver, paths.referrer(repository, subject, digest), digest, step);
    },
    async remove(repository, subject, digest, step) {
      await driver.remove(paths.referrer(repository, subject, digest), step);
    },
    async *after(repository, subject, last) {
      const folder = paths.referrers(repository, subject);
      // Of one algorithm the names are in the order of the digests, and those of sha256 come before those of sha512.
      for (let after = last.replace(':', '-'); ; ) {
        const names = await driver.list(folder, { after, limit: atOnce });
        for (const name of names) {
          const digest = name.replace('-', ':');
          if (isDigest(digest)) yield digest;
        }
        after = names.at(-1) ?? '';
        if (names.length < atOnce) return;
      }
    },
  };
}
