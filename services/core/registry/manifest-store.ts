import type { Descriptor } from '#libs/oci/descriptor.ts';
import { type Digest, digestOf, digestParts } from '#libs/oci/digest.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { type Manifest, parseManifest } from '#libs/oci/manifest.ts';
import { bareMediaType, isNonDistributable } from '#libs/oci/media-types.ts';
import {
  formatReference,
  type Reference,
  type RepositoryName,
  type Tag,
} from '#libs/oci/reference.ts';
import { ifPresent, type StorageDriver } from '../storage/driver.ts';
import type { BlobStore } from './blob-store.ts';
import { paths } from './paths.ts';
import type { ReferrersIndex } from './referrers-index.ts';
import { readAll, readLink, writeLink } from './small-files.ts';
import type { TagStore } from './tag-store.ts';

/** A manifest as it is served: byte for byte what was pushed. */
export interface StoredManifest {
  digest: Digest;
  mediaType: string;
  bytes: Buffer;
}

export interface ManifestStore {
  /** @throws RegistryError MANIFEST_UNKNOWN */
  get(repository: RepositoryName, reference: Reference): Promise<StoredManifest>;
  /**
   * Stores a manifest after checking it and what it refers to; durable when it resolves.
   * @param contentType the Content-Type it came under
   * @param moreTags what shall point at it beside a tag that is the reference
   * @throws RegistryError MANIFEST_INVALID; DIGEST_INVALID if the bytes are not those of a digest
   *   reference; MANIFEST_BLOB_UNKNOWN if a blob or child is not in this repository
   */
  put(
    repository: RepositoryName,
    reference: Reference,
    bytes: Buffer,
    contentType: string,
    moreTags?: readonly Tag[],
  ): Promise<{ digest: Digest; manifest: Manifest }>;
  /** Removes one tag. @throws RegistryError MANIFEST_UNKNOWN */
  removeTag(repository: RepositoryName, tag: Tag): Promise<void>;
  /** Removes a manifest and every tag that points at it. @throws RegistryError MANIFEST_UNKNOWN */
  remove(repository: RepositoryName, digest: Digest): Promise<void>;
}

interface Stores {
  driver: StorageDriver;
  blobs: BlobStore;
  tags: TagStore;
  referrers: ReferrersIndex;
}

export function createManifestStore({ driver, blobs, tags, referrers }: Stores): ManifestStore {
  async function resolve(repository: RepositoryName, reference: Reference): Promise<Digest> {
    const digest =
      reference.kind === 'digest'
        ? reference.digest
        : await tags.resolve(repository, reference.tag);
    if (digest === undefined) throw unknown(repository, reference);
    return digest;
  }

  /** True if the manifest belongs to this repository and its bytes are there. */
  async function has(repository: RepositoryName, digest: Digest): Promise<boolean> {
    const target = await readLink(driver, paths.revisionLink(repository, digest));
    if (target === undefined) return false;
    return (await ifPresent(driver.stat(paths.blob(target)))) !== undefined;
  }

  async function get(repository: RepositoryName, reference: Reference): Promise<StoredManifest> {
    const digest = await resolve(repository, reference);
    const target = await readLink(driver, paths.revisionLink(repository, digest));
    const bytes =
      target === undefined ? undefined : await ifPresent(readAll(driver, paths.blob(target)));
    if (bytes === undefined) throw unknown(repository, reference);
    return { digest, bytes, mediaType: mediaTypeOf(bytes) };
  }

  async function assertReferences(repository: RepositoryName, manifest: Manifest): Promise<void> {
    const missing: Digest[] = [];
    if (manifest.kind === 'index') {
      for (const { digest } of manifest.manifests) {
        if (!(await has(repository, digest))) missing.push(digest);
      }
    } else {
      for (const { digest } of blobsOf(manifest.config, manifest.layers)) {
        if (!(await blobs.has(repository, digest))) missing.push(digest);
      }
    }
    if (missing.length === 0) return;
    const what = manifest.kind === 'index' ? 'manifests' : 'blobs';
    throw new RegistryError('MANIFEST_BLOB_UNKNOWN', {
      message: `the manifest refers to ${what} that ${repository} does not have: ${missing.slice(0, 3).join(', ')}${missing.length > 3 ? ', …' : ''}`,
      detail: { missing: missing.slice(0, 100) },
    });
  }

  return {
    get,

    async put(repository, reference, bytes, contentType, moreTags = []) {
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
      await assertReferences(repository, manifest);
      await driver.put(paths.blob(digest), bytes);
      await writeLink(driver, paths.revisionLink(repository, digest), digest);
      if (manifest.subject !== undefined) {
        await referrers.add(repository, manifest.subject.digest, digest);
      }
      if (reference.kind === 'tag') await tags.point(repository, reference.tag, digest);
      for (const tag of moreTags) await tags.point(repository, tag, digest);
      return { digest, manifest };
    },

    async removeTag(repository, tag) {
      await tags.remove(repository, tag);
    },

    async remove(repository, digest) {
      if (!(await has(repository, digest))) {
        throw unknown(repository, { kind: 'digest', digest });
      }
      await tags.removePointingAt(repository, digest);
      const { bytes } = await get(repository, { kind: 'digest', digest });
      const subject = subjectOf(bytes);
      if (subject !== undefined) await referrers.remove(repository, subject, digest);
      await driver.remove(paths.revisionFolder(repository, digest));
    },
  };
}

/** The blobs that must be here; layers that may not be handed on live elsewhere. */
function blobsOf(config: Descriptor, layers: readonly Descriptor[]): Descriptor[] {
  return [config, ...layers.filter(({ mediaType }) => !isNonDistributable(mediaType))];
}

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
    const { mediaType, manifests } = JSON.parse(bytes.toString('utf8')) as Record<string, unknown>;
    if (typeof mediaType === 'string') return mediaType;
    return Array.isArray(manifests)
      ? 'application/vnd.oci.image.index.v1+json'
      : 'application/vnd.oci.image.manifest.v1+json';
  } catch {
    return 'application/octet-stream';
  }
}
