import { LRUCache } from 'lru-cache';
import type { Descriptor } from '#libs/oci/descriptor.ts';
import { type Digest, digestParts } from '#libs/oci/digest.ts';
import { type Manifest, parseStoredManifest } from '#libs/oci/manifest.ts';
import { parseTag, type RepositoryName } from '#libs/oci/reference.ts';
import { nextLoopTurn } from '../next-loop-turn.ts';
import type { ManifestStore, StoredManifest } from './manifest-store.ts';
import type { ReferrersIndex } from './referrers-index.ts';
import type { TagStore } from './tag-store.ts';

/** A manifest about another one, as the referrers list shows it. */
export interface Referrer extends Descriptor {
  annotations?: Record<string, string>;
}

/** Which of the referrers are wanted. */
export interface ReferrersPage {
  /** The digest after which it begins; empty for the first page. */
  after: string;
  /** Referrers at most. */
  limit: number;
  /** Bytes of their descriptors at most, if there is more than one. */
  maxBytes: number;
  artifactType?: string | undefined;
}

export interface ReferrersFound {
  referrers: Referrer[];
  /** The digest after which there is more, or may be; undefined at the end. */
  next: Digest | undefined;
}

/** What is about a manifest: signatures, bills of materials (distribution-spec, "Listing Referrers"). */
export interface Referrers {
  /**
   * The referrers of a subject that need not exist, in byte order of their digests. Those that a client
   * listed under the fallback tag, for want of this list, are among them. A page reads a bounded number of
   * manifests and bytes, whatever it finds.
   * @throws what the signal was aborted with
   */
  list(
    repository: RepositoryName,
    subject: Digest,
    page: ReferrersPage,
    options?: { signal?: AbortSignal },
  ): Promise<ReferrersFound>;
}

interface Stores {
  index: ReferrersIndex;
  tags: TagStore;
  manifests: ManifestStore;
}

/** What one page reads at most; the last manifest may go beyond. */
const mostRead = { manifests: 2000, bytes: 32 * 1024 * 1024 };

/** Bytes of a manifest that takes so long to parse that others are served before. */
const large = 64 * 1024;

/** What is remembered of a manifest, so that it is parsed again only where it is listed. */
interface Facts {
  /** Undefined if it is about nothing. */
  subject: Digest | undefined;
  artifactType: string | undefined;
  /** Bytes that it takes in a list. */
  length: number;
}

/** Manifests whose facts are remembered. */
const remembered = 20_000;

export function createReferrers({ index, tags, manifests }: Stores): Referrers {
  const known = new LRUCache<Digest, Facts>({ max: remembered });

  /** The parsed manifest, where that could not be avoided. */
  async function parse(stored: StoredManifest, signal?: AbortSignal) {
    if (stored.bytes.length > large) await nextLoopTurn();
    signal?.throwIfAborted();
    const manifest = parseStoredManifest(stored.bytes);
    const referrer = manifest === undefined ? undefined : describe(stored, manifest);
    const length = referrer === undefined ? 0 : Buffer.byteLength(JSON.stringify(referrer)) + 1;
    const { artifactType } = referrer ?? {};
    known.set(stored.digest, { subject: manifest?.subject?.digest, artifactType, length });
    return referrer;
  }

  /** Digests in the index that a client keeps under the tag `<alg>-<hex>` of the subject. */
  async function underFallbackTag(repository: RepositoryName, subject: Digest): Promise<Digest[]> {
    const { algorithm, hex } = digestParts(subject);
    // The scheme cuts what is longer than 64 digits (distribution-spec, "Referrers Tag Schema").
    const tag = parseTag(`${algorithm}-${hex.slice(0, 64)}`);
    const digest = await tags.resolve(repository, tag);
    const stored = digest === undefined ? undefined : await manifests.peek(repository, digest);
    const manifest = stored === undefined ? undefined : parseStoredManifest(stored.bytes);
    return manifest?.kind === 'index' ? manifest.manifests.map((one) => one.digest) : [];
  }

  return {
    async list(repository, subject, { after, limit, maxBytes, artifactType }, { signal } = {}) {
      const digests = new Set([
        ...(await index.list(repository, subject)),
        ...(await underFallbackTag(repository, subject)),
      ]);
      const found: Referrer[] = [];
      let size = 0;
      const isFull = (length: number) =>
        found.length >= limit || (found.length > 0 && size + length > maxBytes);
      let read = { manifests: 0, bytes: 0 };
      let passed: Digest | undefined;
      for (const digest of [...digests].filter((one) => one > after).sort()) {
        signal?.throwIfAborted();
        const isEnough = read.manifests >= mostRead.manifests || read.bytes >= mostRead.bytes;
        if (isEnough) return { referrers: found, next: passed };
        const stored = await manifests.peek(repository, digest);
        read = { manifests: read.manifests + 1, bytes: read.bytes + (stored?.bytes.length ?? 0) };
        const parsed =
          stored === undefined || known.has(digest) ? undefined : await parse(stored, signal);
        const facts = known.get(digest);
        const isWanted =
          facts?.subject === subject &&
          (artifactType === undefined || facts.artifactType === artifactType);
        if (stored !== undefined && facts !== undefined && isWanted) {
          if (isFull(facts.length)) return { referrers: found, next: found.at(-1)?.digest };
          const referrer = parsed ?? (await parse(stored, signal));
          if (referrer !== undefined) found.push(referrer);
          size += facts.length;
        }
        passed = digest;
      }
      return { referrers: found, next: undefined };
    },
  };
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
