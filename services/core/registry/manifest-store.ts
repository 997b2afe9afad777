import { parseInTurn } from '#libs/limits/in-turn.ts';
import { type Digest, digestOf, digestParts } from '#libs/oci/digest.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import {
  type Manifest,
  maxManifestSize,
  parseManifest,
  parseStoredManifest,
} from '#libs/oci/manifest.ts';
import { bareMediaType } from '#libs/oci/media-types.ts';
import type { Reference, RepositoryName, Tag } from '#libs/oci/reference.ts';
import {
  confirmTogether,
  exclusiveAll,
  type Locks,
  type Requester,
  unattended,
} from '../sessions/locks.ts';
import { ifPresent, type StorageDriver, type VisibleStep } from '../storage/driver.ts';
import type { BlobStore } from './blob-store.ts';
import { assertCondition, type Condition } from './condition.ts';
import { findNotesOfManifest, removeNotes } from './dangling-links.ts';
import type { Trash } from './garbage/trash.ts';
import { createManifestReader, type ManifestReader, unknownManifest } from './manifest-reader.ts';
import { assertReferences } from './missing-references.ts';
import { paths } from './paths.ts';
import type { ReferenceRules } from './references.ts';
import type { ReferrersIndex } from './referrers-index.ts';
import { readAll, writeLink } from './small-files.ts';
import type { TagStore } from './tag-store.ts';

/** A manifest as it comes. */
export interface PushedManifest {
  reference: Reference;
  bytes: Buffer;
  /** The Content-Type it came under. */
  contentType: string;
  /** What shall point at it beside a tag that is the reference. */
  moreTags?: readonly Tag[];
  /**
   * What must hold of each tag that would move: those that point at it already were moved by an attempt that failed half
   * way. Where none would, of all of them; without any, of the manifest.
   */
  condition?: Condition | undefined;
  /** Descriptors it may have; any number without it. */
  maxDescriptors?: number | undefined;
}

export interface PutResult {
  digest: Digest;
  manifest: Manifest;
  /** What it refers to and need not have, and does not. */
  missing: Digest[];
  /** Tags that point at it now. */
  moved: TagMove[];
}

/** A tag, and where it pointed before; undefined if there was none. */
export interface TagMove {
  tag: Tag;
  from: Digest | undefined;
}

export interface ManifestStore extends Pick<ManifestReader, 'get' | 'read'> {
  /**
   * Stores a manifest after checking it and what it refers to; durable when it resolves.
   * @throws RegistryError MANIFEST_INVALID; DIGEST_INVALID if the bytes are not those of a digest
   *   reference; MANIFEST_BLOB_UNKNOWN if a required blob or child is not in this repository;
   *   PRECONDITION_FAILED; what the signal was aborted with, as long as nothing was changed
   */
  put(
    repository: RepositoryName,
    pushed: PushedManifest,
    requester?: Requester,
  ): Promise<PutResult>;
  /** Removes one tag. @throws RegistryError MANIFEST_UNKNOWN, PRECONDITION_FAILED */
  removeTag(
    repository: RepositoryName,
    tag: Tag,
    condition?: Condition,
    requester?: Requester,
  ): Promise<void>;
  /**
   * Removes a manifest and every tag that points at it.
   * @throws RegistryError MANIFEST_UNKNOWN, PRECONDITION_FAILED
   */
  remove(
    repository: RepositoryName,
    digest: Digest,
    condition?: Condition,
    requester?: Requester,
  ): Promise<void>;
}

interface Dependencies {
  driver: StorageDriver;
  trash: Trash;
  locks: Locks;
  blobs: BlobStore;
  tags: TagStore;
  referrers: ReferrersIndex;
  rules: ReferenceRules;
}

export function createManifestStore({
  driver,
  trash,
  locks,
  blobs,
  tags,
  referrers,
  rules,
}: Dependencies): ManifestStore {
  const { find, get, read } = createManifestReader({ driver, trash, tags });

  async function isThere(
    repository: RepositoryName,
    { kind, digest }: { kind: 'blob' | 'manifest'; digest: Digest },
  ): Promise<boolean> {
    if (kind === 'blob') return await blobs.has(repository, digest);
    return (await find(repository, digest)) !== undefined;
  }

  /** @throws RegistryError PRECONDITION_FAILED */
  async function assertManifestCondition(
    repository: RepositoryName,
    digest: Digest,
    condition: Condition | undefined,
  ): Promise<void> {
    if (condition === undefined) return;
    const present = (await find(repository, digest)) !== undefined;
    assertCondition(condition, present ? digest : undefined, `manifest ${digest}`);
  }

  async function assertTagCondition(
    repository: RepositoryName,
    tag: Tag,
    digest: Digest,
    condition: Condition | undefined,
  ): Promise<void> {
    if (condition === undefined) return;
    assertCondition(condition, await tags.resolve(repository, tag), `tag "${tag}"`, digest);
  }

  /** Those of the tags for which {@link PushedManifest.condition} must hold. */
  async function tagsToMove(
    repository: RepositoryName,
    digest: Digest,
    pushedTags: readonly Tag[],
    condition: Condition | undefined,
  ): Promise<readonly Tag[]> {
    if (condition === undefined) return pushedTags;
    const current = await Promise.all(pushedTags.map((tag) => tags.resolve(repository, tag)));
    const elsewhere = pushedTags.filter((_, index) => current[index] !== digest);
    return elsewhere.length === 0 ? pushedTags : elsewhere;
  }

  /** An attempt may have ended between a manifest's link and its entry among the referrers of its subject. */
  async function removeRest(repository: RepositoryName, digest: Digest, step: VisibleStep) {
    const path = paths.blob(digest);
    const info = await ifPresent(driver.stat(path));
    if (info === undefined || info.size > maxManifestSize) return;
    const bytes = await readAll(driver, path);
    const subject = (await parseInTurn(bytes, parseStoredManifest))?.subject?.digest;
    if (subject !== undefined) await referrers.remove(repository, subject, digest, step);
  }

  return {
    get,
    read,

    async put(repository, pushed, requester = unattended) {
      const { reference, bytes, contentType, moreTags = [], condition } = pushed;
      const { maxDescriptors = Infinity } = pushed;
      const algorithm =
        reference.kind === 'digest' ? digestParts(reference.digest).algorithm : 'sha256';
      const digest = digestOf(bytes, algorithm);
      // Before it is parsed, which costs more.
      if (reference.kind === 'digest' && reference.digest !== digest) {
        throw new RegistryError('DIGEST_INVALID', {
          message: `the manifest's digest is ${digest}, not ${reference.digest}`,
          detail: { digest },
        });
      }
      const manifest = await parseInTurn(
        bytes,
        () => parseManifest(bytes, bareMediaType(contentType), { maxDescriptors }),
        requester,
      );
      const pushedTags = reference.kind === 'tag' ? [reference.tag, ...moreTags] : moreTags;
      // Nothing of this repository is deleted meanwhile, and nobody else moves these tags.
      using shared = await locks.shared(repository, requester);
      using alone = await exclusiveAll(
        locks,
        pushedTags.map((tag) => tagKey(repository, tag)),
        requester,
      );
      const toMove = await tagsToMove(repository, digest, pushedTags, condition);
      for (const tag of toMove) await assertTagCondition(repository, tag, digest, condition);
      if (pushedTags.length === 0) await assertManifestCondition(repository, digest, condition);
      const missing = await assertReferences(repository, manifest, {
        rules,
        isThere: (reference) => isThere(repository, reference),
        signal: requester.signal,
      });
      requester.signal.throwIfAborted();
      await driver.put(paths.blob(digest), bytes);
      // Listed first: an entry without its manifest is passed over, a manifest without it is lost.
      if (manifest.subject !== undefined) {
        await referrers.add(repository, manifest.subject.digest, digest, shared);
      }
      await writeLink(driver, paths.revisionLink(repository, digest), digest, shared);
      if (manifest.subject !== undefined) {
        await referrers.ensure(repository, manifest.subject.digest, digest, shared);
      }
      const moved: TagMove[] = [];
      for (const tag of pushedTags) {
        moved.push({ tag, from: await tags.resolve(repository, tag) });
        if (!toMove.includes(tag)) continue;
        await tags.point(repository, tag, digest, {
          async confirm() {
            await assertTagCondition(repository, tag, digest, condition);
            await confirmTogether(shared, alone.of(tagKey(repository, tag)));
          },
        });
      }
      return { digest, manifest, missing, moved };
    },

    async removeTag(repository, tag, condition, requester) {
      using shared = await locks.shared(repository, requester);
      using alone = await locks.exclusive(tagKey(repository, tag), requester);
      const assertCurrent = (current: Digest | undefined) =>
        assertCondition(condition, current, `tag "${tag}"`);
      assertCurrent(await tags.resolve(repository, tag));
      await tags.remove(repository, tag, {
        assertCurrent,
        async confirm() {
          await confirmTogether(shared, alone);
        },
      });
    },

    async remove(repository, digest, condition, requester) {
      using alone = await locks.exclusive(repository, requester);
      await assertManifestCondition(repository, digest, condition);
      const notes = await findNotesOfManifest(driver, repository, digest);
      const found = await find(repository, digest);
      if (found === undefined) {
        await removeNotes(driver, notes, alone);
        await removeRest(repository, digest, alone).catch(() => {});
        throw unknownManifest(repository, { kind: 'digest', digest });
      }
      await tags.removePointingAt(repository, digest, alone, requester?.signal);
      const bytes = await ifPresent(readAll(driver, found.path));
      const subject =
        bytes === undefined
          ? undefined
          : (await parseInTurn(bytes, parseStoredManifest, { party: requester?.party }))?.subject
              ?.digest;
      const item = { kind: 'manifest', repository, digest } as const;
      await trash.deleteEverywhere(item, alone, paths.revisionFolder(repository, digest));
      if (subject !== undefined) await referrers.remove(repository, subject, digest, alone);
      // Behind all that can be refused; whoever asks again, having got no answer, has them removed as well.
      await removeNotes(driver, notes);
    },
  };
}

const tagKey = (repository: RepositoryName, tag: Tag) => `${repository}:${tag}`;
