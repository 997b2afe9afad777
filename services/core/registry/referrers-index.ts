import { type Digest, isDigest } from '#libs/oci/digest.ts';
import type { RepositoryName } from '#libs/oci/reference.ts';
import { ifPresent, type StorageDriver, type VisibleStep } from '../storage/driver.ts';
import { digestsIn } from './digests-in.ts';
import { paths } from './paths.ts';
import { writeLink } from './small-files.ts';

/** A manifest, and what it is about. */
export interface ReferrerEntry {
  subject: Digest;
  digest: Digest;
}

/** Which manifests of a repository have a given subject: one small file for each. */
export interface ReferrersIndex {
  /** Durable when it resolves. */
  add(
    repository: RepositoryName,
    subject: Digest,
    digest: Digest,
    step?: VisibleStep,
  ): Promise<void>;
  /** Adds it again if a collection took it for stale before its manifest was there. */
  ensure: ReferrersIndex['add'];
  /**
   * Removes an entry whose manifest is gone, unless the manifest comes meanwhile.
   * @param isHeld whether the manifest is in its place, or may come back
   * @param olderThan entries that are younger stay: a push writes one before its manifest
   */
  removeStale(
    repository: RepositoryName,
    subject: Digest,
    digest: Digest,
    options: { isHeld: () => Promise<boolean>; olderThan: Date },
  ): Promise<void>;
  remove(
    repository: RepositoryName,
    subject: Digest,
    digest: Digest,
    step?: VisibleStep,
  ): Promise<void>;
  /** All entries of a repository. */
  all(repository: RepositoryName): AsyncGenerator<ReferrerEntry>;
  /** Digests of the manifests with this subject behind a digest, in byte order; empty: from the first on. */
  after(repository: RepositoryName, subject: Digest, last: string): AsyncGenerator<Digest>;
}

/** Names read at once. */
const atOnce = 200;

export function createReferrersIndex(driver: StorageDriver): ReferrersIndex {
  async function add(
    ...[repository, subject, digest, step]: Parameters<ReferrersIndex['add']>
  ): Promise<void> {
    await writeLink(driver, paths.referrer(repository, subject, digest), digest, step);
  }

  return {
    add,

    async ensure(repository, subject, digest, step) {
      const path = paths.referrer(repository, subject, digest);
      if ((await ifPresent(driver.stat(path))) === undefined) {
        await add(repository, subject, digest, step);
      }
    },

    // A push writes the entry, then the link, and then sees whether the entry is there: whoever removes it looks for the
    // manifest before and after, so that one of the two sees the other.
    async removeStale(repository, subject, digest, { isHeld, olderThan }) {
      const path = paths.referrer(repository, subject, digest);
      const entry = await ifPresent(driver.stat(path));
      if (entry === undefined || entry.modified >= olderThan || (await isHeld())) return;
      await driver.remove(path);
      if (await isHeld()) await add(repository, subject, digest);
    },

    async remove(repository, subject, digest, step) {
      await driver.remove(paths.referrer(repository, subject, digest), step);
    },
    async *all(repository) {
      for await (const subject of digestsIn(driver, paths.allReferrers(repository))) {
        for (const name of await driver.list(paths.referrers(repository, subject))) {
          const digest = digestOfEntry(name);
          if (digest !== undefined) yield { subject, digest };
        }
      }
    },

    async *after(repository, subject, last) {
      const folder = paths.referrers(repository, subject);
      // Of one algorithm the names are in the order of the digests, and those of sha256 come before those of sha512.
      for (let after = last.replace(':', '-'); ; ) {
        const names = await driver.list(folder, { after, limit: atOnce });
        for (const name of names) {
          const digest = digestOfEntry(name);
          if (digest !== undefined) yield digest;
        }
        after = names.at(-1) ?? '';
        if (names.length < atOnce) return;
      }
    },
  };
}

/** The digest that the name of an entry stands for: of `sha256-…` `sha256:…`; undefined for what is none of ours. */
export function digestOfEntry(name: string): Digest | undefined {
  const digest = name.replace('-', ':');
  return isDigest(digest) ? digest : undefined;
}
