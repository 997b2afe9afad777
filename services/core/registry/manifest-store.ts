import { type Digest, digestOf, digestParts } from '#libs/oci/digest.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { type Manifest, parseManifest } from '#libs/oci/manifest.ts';
import { bareMediaType } from '#libs/oci/media-types.ts';
import {
  formatReference,
  type Reference,
  type RepositoryName,
  type Tag,
} from '#libs/oci/reference.ts';
import { exclusiveAll, type Locks } from '../sessions/locks.ts';
import { ifPresent, type StorageDriver } from '../storage/driver.ts';
import type { BlobStore } from './blob-store.ts';
import { assertCondition, type Condition } from './condition.ts';
import { findBytes, readLinkOrRecover, type Trash } from './garbage/trash.ts';
import { paths } from './paths.ts';
import { type ReferenceRules, referencesOf } from './references.ts';
import type { ReferrersIndex } from './referrers-index.ts';
import { readAll, readLink, writeLink } from './small-files.ts';
import type { TagStore } from './tag-store.ts';

/** A manifest as it is served: byte for byte what was pushed. */
export interface StoredManifest {
  digest: Digest;
  mediaType: string;
  bytes: Buffer;
}

/** A manifest as it comes. */
export interface PushedManifest {
  reference: Reference;
  bytes: Buffer;
  /** The Content-Type it came under. */
  contentType: string;
  /** What shall point at it beside a tag that is the reference. */
  moreTags?: readonly Tag[];
  /** What must hold of each tag that would move, or of the manifest if none would. */
  condition?: Condition | undefined;
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

export interface ManifestStore {
  /** @throws RegistryError MANIFEST_UNKNOWN */
  get(repository: RepositoryName, reference: Reference): Promise<StoredManifest>;
  /** What is in its place; unlike `get` brings nothing back from the trash. */
  peek(repository: RepositoryName, digest: Digest): Promise<StoredManifest | undefined>;
  /**
   * Stores a manifest after checking it and what it refers to; durable when it resolves.
   * @throws RegistryError MANIFEST_INVALID; DIGEST_INVALID if the bytes are not those of a digest
   *   reference; MANIFEST_BLOB_UNKNOWN if a required blob or child is not in this repository;
   *   PRECONDITION_FAILED
   */
  put(repository: RepositoryName, pushed: PushedManifest): Promise<PutResult>;
  /** Removes one tag. @throws RegistryError MANIFEST_UNKNOWN, PRECONDITION_FAILED */
  removeTag(repository: RepositoryName, tag: Tag, condition?: Condition): Promise<void>;
  /** Removes a manifest and every tag that points at it. @throws RegistryError MANIFEST_UNKNOWN */
  remove(repository: RepositoryName, digest: Digest): Promise<void>;
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
  async function resolve(repository: RepositoryName, reference: Reference): Promise<Digest> {
    const digest =
      reference.kind === 'digest'
        ? reference.digest
        : await tags.resolve(repository, reference.tag);
    if (digest === undefined) throw unknown(repository, reference);
    return digest;
  }

  /** Where the bytes of a manifest of this repository are. */
  async function find(repository: RepositoryName, digest: Digest) {
    const target = await readLinkOrRecover(driver, trash, { kind: 'manifest', repository, digest });
    return target === undefined ? undefined : await findBytes(driver, trash, target);
  }

  async function get(repository: RepositoryName, reference: Reference): Promise<StoredManifest> {
    const digest = await resolve(repository, reference);
    // A collection may take the bytes away between the two steps; then they come back.
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      const found = await find(repository, digest);
      if (found === undefined) break;
      const bytes = await ifPresent(readAll(driver, found.path));
      if (bytes !== undefined) return { digest, bytes, mediaType: mediaTypeOf(bytes) };
    }
    throw unknown(repository, reference);
  }

  async function peek(repository: RepositoryName, digest: Digest) {
    const target = await readLink(driver, paths.revisionLink(repository, digest));
    const found = target === undefined ? undefined : await findBytes(driver, trash, target);
    const bytes = found === undefined ? undefined : await ifPresent(readAll(driver, found.path));
    return bytes === undefined ? undefined : { digest, bytes, mediaType: mediaTypeOf(bytes) };
  }

  /** @returns what is missing and may be */
  async function checkReferences(
    repository: RepositoryName,
    manifest: Manifest,
  ): Promise<Digest[]> {
    const missing = { required: [] as Digest[], optional: [] as Digest[] };
    for (const { kind, digest, required } of referencesOf(manifest, rules)) {
      const present =
        kind === 'blob'
          ? await blobs.has(repository, digest)
          : (await find(repository, digest)) !== undefined;
      if (!present) missing[required ? 'required' : 'optional'].push(digest);
    }
    const { required } = missing;
    if (required.length === 0) return missing.optional;
    const what = manifest.kind === 'index' ? 'manifests' : 'blobs';
    throw new RegistryError('MANIFEST_BLOB_UNKNOWN', {
      message: `the manifest refers to ${what} that ${repository} does not have: ${required.slice(0, 3).join(', ')}${required.length > 3 ? ', …' : ''}`,
      detail: { missing: required.slice(0, 100) },
    });
  }

  async function assertConditions(
    repository: RepositoryName,
    digest: Digest,
    wanted: readonly Tag[],
    condition: Condition | undefined,
  ): Promise<void> {
    if (condition === undefined) return;
    for (const tag of wanted) {
      assertCondition(condition, await tags.resolve(repository, tag), `tag "${tag}"`);
    }
    if (wanted.length > 0) return;
    const present = (await find(repository, digest)) !== undefined;
    assertCondition(condition, present ? digest : undefined, `manifest ${digest}`);
  }

  return {
    get,
    peek,

    async put(repository, { reference, bytes, contentType, moreTags = [], condition }) {
      const manifest = parseManifest(bytes, bareMediaType(contentType));
      const algorithm =
        reference.kind === 'digest' ? digestParts(reference.digest).algorithm : 'sha256';
      const digest = digestOf(bytes, algorithm);
      if (reference.kind === 'digest' && reference.digest !== digest) {
        throw new RegistryError('DIGEST_INVALID', {
          message: `the manifest's digest is ${digest}, not ${reference.digest}`,
          detail: { digest },
        });
      }
      const wanted = reference.kind === 'tag' ? [reference.tag, ...moreTags] : moreTags;
      // Nothing of this repository is deleted meanwhile, and nobody else moves these tags.
      using free = await locks.shared(repository);
      using alone = await exclusiveAll(
        locks,
        wanted.map((tag) => tagKey(repository, tag)),
      );
      await assertConditions(repository, digest, wanted, condition);
      const missing = await checkReferences(repository, manifest);
      await driver.put(paths.blob(digest), bytes);
      free.assertHeld();
      // Listed first: an entry without its manifest is passed over, a manifest without it is lost.
      if (manifest.subject !== undefined) {
        await referrers.add(repository, manifest.subject.digest, digest);
      }
      await writeLink(driver, paths.revisionLink(repository, digest), digest);
      const moved: TagMove[] = [];
      for (const tag of wanted) {
        moved.push({ tag, from: await tags.resolve(repository, tag) });
        alone.assertHeld();
        await tags.point(repository, tag, digest);
      }
      return { digest, manifest, missing, moved };
    },

    async removeTag(repository, tag, condition) {
      using _repository = await locks.shared(repository);
      using alone = await locks.exclusive(tagKey(repository, tag));
      if (condition !== undefined) {
        assertCondition(condition, await tags.resolve(repository, tag), `tag "${tag}"`);
      }
      alone.assertHeld();
      await tags.remove(repository, tag);
    },

    async remove(repository, digest) {
      using alone = await locks.exclusive(repository);
      if ((await find(repository, digest)) === undefined) {
        throw unknown(repository, { kind: 'digest', digest });
      }
      await tags.removePointingAt(repository, digest);
      const { bytes } = await get(repository, { kind: 'digest', digest });
      const subject = subjectOf(bytes);
      alone.assertHeld();
      await driver.remove(paths.revisionFolder(repository, digest));
      if (subject !== undefined) await referrers.remove(repository, subject, digest);
    },
  };
}

const tagKey = (repository: RepositoryName, tag: Tag) => `${repository}:${tag}`;

function unknown(repository: RepositoryName, reference: Reference): RegistryError {
  return new RegistryError('MANIFEST_UNKNOWN', {
    message: `${repository} has no manifest ${formatReference(reference)}`,
    detail: { name: repository, reference: formatReference(reference) },
  });
}

/** What a stored manifest is about; undefined also for one that an older registry let through broken. */
function subjectOf(bytes: Buffer): Digest | undefined {
  try {
    return parseManifest(bytes, mediaTypeOf(bytes)).subject?.digest;
  } catch {
    return undefined;
  }
}

/** OCI manifests need not name their own type; then what they hold tells it. */
function mediaTypeOf(bytes: Buffer): string {
  try {
    const document = JSON.parse(bytes.toString('utf8')) as Record<string, unknown>;
    if (typeof document.mediaType === 'string') return document.mediaType;
    return 'manifests' in document
      ? 'application/vnd.oci.image.index.v1+json'
      : 'application/vnd.oci.image.manifest.v1+json';
  } catch {
    return 'application/octet-stream';
  }
}
