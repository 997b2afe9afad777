import { LRUCache } from 'lru-cache';
import { parseInTurn, type TurnOptions } from '#libs/limits/in-turn.ts';
import { type Digest, digestParts } from '#libs/oci/digest.ts';
import { type Manifest, parseStoredManifest } from '#libs/oci/manifest.ts';
import { parseTag, type RepositoryName } from '#libs/oci/reference.ts';
import { firstBehind } from '../storage/first-behind.ts';
import {
  DamagedManifestError,
  type ManifestReader,
  type StoredManifest,
} from './manifest-reader.ts';
import type { ReferrersIndex } from './referrers-index.ts';
import type { TagStore } from './tag-store.ts';

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
  /** Their descriptors, each as JSON. */
  descriptors: string[];
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
    options?: TurnOptions,
  ): Promise<ReferrersFound>;
}

interface Stores {
  index: ReferrersIndex;
  tags: TagStore;
  manifests: Pick<ManifestReader, 'read'>;
}

/** What one page reads at most; the last manifest may go beyond. */
const maxRead = { manifests: 2000, bytes: 32 * 1024 * 1024 };

/** What is remembered of a manifest, which never changes. */
interface Facts {
  /** Undefined if it is about nothing. */
  subject: Digest | undefined;
  artifactType: string | undefined;
  /** Bytes of its descriptor. */
  length: number;
  /** JSON; undefined where it is too long to be remembered. */
  descriptor: string | undefined;
}

/** What is remembered at most: digests, and text in characters. */
const remembered = { digests: 200_000, text: 32 * 1024 * 1024 };
/** What each manifest counts for besides, so that 20 000 are remembered at most. */
const [leastDigests, leastText] = [10, 1600];

/** Characters of a descriptor that is parsed anew whenever it is listed. */
const longDescriptor = 256 * 1024;

export function createReferrers({ index, tags, manifests }: Stores): Referrers {
  const known = new LRUCache<Digest, Facts>({
    maxSize: remembered.text,
    sizeCalculation: ({ descriptor }) => leastText + (descriptor?.length ?? 0),
  });
  const listed = new LRUCache<Digest, Digest[]>({
    maxSize: remembered.digests,
    sizeCalculation: (digests) => leastDigests + digests.length,
  });

  /** What is asked for of a manifest. @returns its descriptor as well, where it had to be parsed */
  async function factsOf(stored: StoredManifest, options: TurnOptions): Promise<Facts> {
    const facts = known.get(stored.digest);
    if (facts !== undefined) return facts;
    const parsed = await parseInTurn(stored.bytes, () => parseFacts(stored), options);
    const isLong = parsed.length > longDescriptor;
    known.set(stored.digest, isLong ? { ...parsed, descriptor: undefined } : parsed);
    return parsed;
  }

  /** What is damaged counts as absent: nothing is known of it, until it was pushed again. */
  async function readUndamaged(
    repository: RepositoryName,
    digest: Digest,
    options: TurnOptions,
  ): Promise<StoredManifest | undefined> {
    try {
      return await manifests.read(repository, digest, options);
    } catch (error) {
      if (error instanceof DamagedManifestError) return undefined;
      throw error;
    }
  }

  /** Digests in the index that a client keeps under the tag `<alg>-<hex>` of the subject. */
  async function underFallbackTag(
    repository: RepositoryName,
    subject: Digest,
    options: TurnOptions,
  ): Promise<Digest[]> {
    const { algorithm, hex } = digestParts(subject);
    // The scheme cuts what is longer than 64 digits (distribution-spec, "Referrers Tag Schema").
    const tag = parseTag(`${algorithm}-${hex.slice(0, 64)}`);
    const digest = await tags.resolve(repository, tag);
    const stored =
      digest === undefined ? undefined : await readUndamaged(repository, digest, options);
    if (stored === undefined) return [];
    const found =
      listed.get(stored.digest) ??
      (await parseInTurn(stored.bytes, () => childrenOf(stored), options));
    listed.set(stored.digest, found);
    return found;
  }

  /** Digests of what may be about a subject, behind a digest, in byte order, each once. */
  async function* candidates(
    repository: RepositoryName,
    subject: Digest,
    after: string,
    options: TurnOptions,
  ): AsyncGenerator<Digest> {
    const kept = await underFallbackTag(repository, subject, options);
    let next = firstBehind(kept, after);
    for await (const digest of index.after(repository, subject, after)) {
      for (; next < kept.length && (kept[next] as Digest) < digest; next += 1) {
        yield kept[next] as Digest;
      }
      if (kept[next] === digest) next += 1;
      yield digest;
    }
    for (; next < kept.length; next += 1) yield kept[next] as Digest;
  }

  return {
    async list(repository, subject, { after, limit, maxBytes, artifactType }, options = {}) {
      const descriptors: string[] = [];
      let size = 0;
      let lastFound: Digest | undefined;
      const isFull = (length: number) =>
        descriptors.length >= limit || (descriptors.length > 0 && size + length > maxBytes);
      let read = { manifests: 0, bytes: 0 };
      let passed: Digest | undefined;
      for await (const digest of candidates(repository, subject, after, options)) {
        options.signal?.throwIfAborted();
        const isEnough = read.manifests >= maxRead.manifests || read.bytes >= maxRead.bytes;
        if (isEnough) return { descriptors, next: passed };
        const stored = await readUndamaged(repository, digest, options);
        read = { manifests: read.manifests + 1, bytes: read.bytes + (stored?.bytes.length ?? 0) };
        passed = digest;
        if (stored === undefined) continue;
        const facts = await factsOf(stored, options);
        if (facts.subject !== subject) continue;
        if (artifactType !== undefined && facts.artifactType !== artifactType) continue;
        if (isFull(facts.length)) return { descriptors, next: lastFound };
        const { descriptor } =
          facts.descriptor === undefined
            ? await parseInTurn(stored.bytes, () => parseFacts(stored), options)
            : facts;
        descriptors.push(descriptor ?? '');
        size += facts.length;
        lastFound = digest;
      }
      return { descriptors, next: undefined };
    },
  };
}

/** Digests of an index in byte order, each once; nothing of what is no index. */
function childrenOf({ bytes }: StoredManifest): Digest[] {
  const manifest = parseStoredManifest(bytes);
  if (manifest?.kind !== 'index') return [];
  return [...new Set(manifest.manifests.map((one) => one.digest))].sort();
}

/** Of what cannot be read it knows that it is about nothing. */
function parseFacts(stored: StoredManifest): Facts & { descriptor: string } {
  const manifest = parseStoredManifest(stored.bytes);
  if (manifest === undefined) {
    return { subject: undefined, artifactType: undefined, length: 0, descriptor: '' };
  }
  const described = describe(stored, manifest);
  const descriptor = JSON.stringify(described);
  return {
    subject: manifest.subject?.digest,
    artifactType: described.artifactType,
    length: Buffer.byteLength(descriptor) + 1,
    descriptor,
  };
}

/** A manifest as a list of referrers shows it (distribution-spec, "Listing Referrers"). */
function describe({ digest, bytes }: StoredManifest, manifest: Manifest) {
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
