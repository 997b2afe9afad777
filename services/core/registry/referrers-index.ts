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
  /** Digests of the manifests with this subject, in byte order. */
  list(repository: RepositoryName, subject: Digest): Promise<Digest[]>;
}

export function createReferrersIndex(driver: StorageDriver): ReferrersIndex {
  return {
    async add(repository, subject, digest, step) {
      await writeLink(driver, paths.referrer(repository, subject, digest), digest, step);
    },
    async remove(repository, subject, digest, step) {
      await driver.remove(paths.referrer(repository, subject, digest), step);
    },
    async list(repository, subject) {
      const names = await driver.list(paths.referrers(repository, subject));
      return names.map((name) => name.replace('-', ':')).filter(isDigest);
    },
  };
}
