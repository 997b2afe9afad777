import type { Descriptor } from '#libs/oci/descriptor.ts';
import { type Digest, digestParts } from '#libs/oci/digest.ts';
import { type Manifest, parseManifest } from '#libs/oci/manifest.ts';
import { parseTag, type RepositoryName } from '#libs/oci/reference.ts';
import type { ManifestStore, StoredManifest } from './manifest-store.ts';
import type { ReferrersIndex } from './referrers-index.ts';
import type { TagStore } from './tag-store.ts';

/** A manifest about another one, as the referrers list shows it. */
export interface Referrer extends Descriptor {
  annotations?: Record<string, string>;
}

/** What is about a manifest: signatures, bills of materials (distribution-spec, "Listing Referrers"). */
export interface Referrers {
  /**
   * The referrers of a subject that need not exist, in byte order of their digests. Those that a client
   * listed under the fallback tag, for want of this list, are among them.
   */
  list(repository: RepositoryName, subject: Digest): Promise<Referrer[]>;
}

interface Stores {
  index: ReferrersIndex;
  tags: TagStore;
  manifests: ManifestStore;
}

export function createReferrers({ index, tags, manifests }: Stores): Referrers {
  /** Digests in the index that a client keeps under the tag `<alg>-<hex>` of the subject. */
  async function underFallbackTag(repository: RepositoryName, subject: Digest): Promise<Digest[]> {
    const { algorithm, hex } = digestParts(subject);
    // The scheme cuts what is longer than 64 digits (distribution-spec, "Referrers Tag Schema").
    const tag = parseTag(`${algorithm}-${hex.slice(0, 64)}`);
    const digest = await tags.resolve(repository, tag);
    const stored = digest === undefined ? undefined : await manifests.peek(repository, digest);
    const manifest = stored === undefined ? undefined : parseStored(stored);
    return manifest?.kind === 'index' ? manifest.manifests.map((one) => one.digest) : [];
  }

  return {
    async list(repository, subject) {
      const digests = new Set([
        ...(await index.list(repository, subject)),
        ...(await underFallbackTag(repository, subject)),
      ]);
      const found: Referrer[] = [];
      for (const digest of [...digests].sort()) {
        const stored = await manifests.peek(repository, digest);
        const manifest = stored === undefined ? undefined : parseStored(stored);
        if (stored === undefined || manifest?.subject?.digest !== subject) continue;
        found.push(describe(stored, manifest));
      }
      return found;
    },
  };
}

/** A tree may hold what another registry let through; what cannot be read refers to nothing. */
function parseStored({ bytes, mediaType }: StoredManifest): Manifest | undefined {
  try {
    return parseManifest(bytes, mediaType);
  } catch {
    return undefined;
  }
}

function describe({ digest, bytes }: StoredManifest, manifest: Manifest): Referrer {
  // An empty type is none.
  const own = manifest.artifactType === '' ? undefined : manifest.artifactType;
  const artifactType = own ?? (manifest.kind === 'image' ? manifest.config.mediaType : undefined);
  return {
    mediaType: manifest.mediaType,
    digest,
    size: bytes.length,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(manifest.annotations === undefined ? {} : { annotations: manifest.annotations }),
  };
}
