import type { Digest } from '#libs/oci/digest.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { isTag, type RepositoryName, type Tag } from '#libs/oci/reference.ts';
import {
  ifPresent,
  type SawFile,
  type StorageDriver,
  type VisibleStep,
} from '../storage/driver.ts';
import { findNotes, removeNotes } from './dangling-links.ts';
import { paths } from './paths.ts';
import { readLink, writeLink } from './small-files.ts';

/** What is asked directly before a tag goes. */
export interface TagRemoval extends VisibleStep {
  /** Looks at what the tag points at now. What it throws is passed on, and the tag stays. */
  assertCurrent?: (current: Digest | undefined) => void;
}

/** The tags of a repository: names that point at manifests and can be moved. */
export interface TagStore {
  /** The digest a tag points at now; undefined if there is no such tag. */
  resolve(repository: RepositoryName, tag: Tag, saw?: SawFile): Promise<Digest | undefined>;
  /** Points the tag at a manifest, atomically; durable when it resolves. */
  point(repository: RepositoryName, tag: Tag, digest: Digest, step?: VisibleStep): Promise<void>;
  /** Removes one tag; its manifest and its siblings stay. @throws RegistryError MANIFEST_UNKNOWN */
  remove(repository: RepositoryName, tag: Tag, removal?: TagRemoval): Promise<void>;
  /**
   * Removes every tag that points at a manifest at the moment at which it is removed.
   * @throws what the signal was aborted with; tags that were removed before are removed
   */
  removePointingAt(
    repository: RepositoryName,
    digest: Digest,
    step?: VisibleStep,
    signal?: AbortSignal,
  ): Promise<void>;
  /**
   * Tags in byte order after `last`.
   * @returns at most `limit` tags, and whether there are more
   * @throws what the signal was aborted with
   */
  list(
    repository: RepositoryName,
    page: { last: string; limit: number },
    options?: { signal?: AbortSignal },
  ): Promise<{ tags: Tag[]; more: boolean }>;
}

/**
 * Removes what is left of a tag that is none. Its history only, and folders: a push that makes the tag at
 * this very moment keeps its link.
 */
export async function removeStaleTag(
  driver: StorageDriver,
  repository: RepositoryName,
  tag: Tag,
  step?: VisibleStep,
): Promise<void> {
  await driver.remove(paths.tagHistory(repository, tag), step);
  await driver.prune?.(paths.tag(repository, tag));
}

/** A tag points elsewhere than just before. */
class TagMovedError extends Error {}

/** Links read at once. */
const atOnce = 16;

export function createTagStore(driver: StorageDriver): TagStore {
  const resolve = (repository: RepositoryName, tag: Tag, saw?: SawFile) =>
    readLink(driver, paths.tagCurrent(repository, tag), saw);

  /** Those of the names that are tags and point at something. */
  async function existing(
    repository: RepositoryName,
    names: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<Tag[]> {
    const found: Tag[] = [];
    for (let start = 0; start < names.length; start += atOnce) {
      signal?.throwIfAborted();
      const tags = names.slice(start, start + atOnce).filter(isTag);
      const digests = await Promise.all(tags.map((tag) => resolve(repository, tag)));
      found.push(...tags.filter((_, index) => digests[index] !== undefined));
    }
    return found;
  }

  /** The link first: from then on there is no such tag, whatever happens to its history. */
  async function untag(
    repository: RepositoryName,
    tag: Tag,
    { confirm, assertCurrent }: TagRemoval,
  ): Promise<void> {
    const notes = await findNotes(driver, { kind: 'tag', repository, tag });
    await driver.remove(paths.tagCurrent(repository, tag), {
      async confirm() {
        assertCurrent?.(await resolve(repository, tag));
        await confirm?.();
      },
    });
    const step = confirm === undefined ? undefined : { confirm };
    // Behind what can be refused; whoever asks again, having got no answer, has it removed as well.
    await removeNotes(driver, notes);
    // The tag is gone, and its client is told so. Its history goes unless the lock is lost; a collection takes the rest.
    await removeStaleTag(driver, repository, tag, step).catch(() => {});
  }

  /** An attempt may have ended between a tag's link and its folder: whoever asks again gets the rest removed. */
  async function removeRest(repository: RepositoryName, tag: Tag, step?: VisibleStep) {
    // One that is torn is for a person to look at.
    const link = await ifPresent(driver.stat(paths.tagCurrent(repository, tag)));
    if (link === undefined) await removeStaleTag(driver, repository, tag, step).catch(() => {});
  }

  return {
    resolve,

    async point(repository, tag, digest, step) {
      // The original walks a tag's index for its history, and expects the current digest there.
      await writeLink(driver, paths.tagIndex(repository, tag, digest), digest, step);
      // Last: until this is written the tag is what it was.
      await writeLink(driver, paths.tagCurrent(repository, tag), digest, step);
    },

    async remove(repository, tag, removal = {}) {
      if ((await resolve(repository, tag)) === undefined) {
        const { confirm } = removal;
        const step = confirm === undefined ? undefined : { confirm };
        const notes = await findNotes(driver, { kind: 'tag', repository, tag });
        await removeNotes(driver, notes, step);
        await removeRest(repository, tag, step);
        throw new RegistryError('MANIFEST_UNKNOWN', {
          message: `there is no tag "${tag}" in ${repository}`,
          detail: { name: repository, tag },
        });
      }
      await untag(repository, tag, removal);
    },

    async removePointingAt(repository, digest, step, signal) {
      signal?.throwIfAborted();
      const names = (await driver.list(paths.tags(repository))).filter(isTag);
      for (let start = 0; start < names.length; start += atOnce) {
        signal?.throwIfAborted();
        const tags = names.slice(start, start + atOnce);
        const digests = await Promise.all(tags.map((tag) => resolve(repository, tag)));
        for (const [index, tag] of tags.entries()) {
          if (digests[index] === undefined) await removeRest(repository, tag, step);
          if (digests[index] !== digest) continue;
          await untag(repository, tag, {
            ...step,
            assertCurrent(current) {
              // A process that was held up may find that it was moved meanwhile.
              if (current !== digest) throw new TagMovedError();
            },
          }).catch((error: unknown) => {
            if (!(error instanceof TagMovedError)) throw error;
          });
        }
      }
    },

    async list(repository, { last, limit }, { signal } = {}) {
      if (limit === 0) return { tags: [], more: false };
      const tags: Tag[] = [];
      let after = last;
      // One more than the page: whether there is more must not be guessed.
      for (;;) {
        const wanted = limit + 1 - tags.length;
        const names = await driver.list(paths.tags(repository), { after, limit: wanted });
        tags.push(...(await existing(repository, names, signal)));
        if (tags.length > limit) return { tags: tags.slice(0, limit), more: true };
        after = names.at(-1) ?? '';
        if (names.length < wanted) return { tags, more: false };
      }
    },
  };
}
