import { LRUCache } from 'lru-cache';
import { atMost } from '#libs/limits/cache-size.ts';
import { parseInTurn, type TurnOptions } from '#libs/limits/in-turn.ts';
import { type Digest, isDigestOf } from '#libs/oci/digest.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { storedMediaType } from '#libs/oci/manifest.ts';
import { formatReference, type Reference, type RepositoryName } from '#libs/oci/reference.ts';
import { ifPresent, type StorageDriver } from '../storage/driver.ts';
import type { AnswerValidators } from './answer-validators.ts';
import { type FindOptions, findBytes, readLinkOrRestore } from './find-stored.ts';
import type { Trash } from './garbage/trash.ts';
import { maxLooks } from './looks.ts';
import { readAll } from './small-files.ts';
import type { TagStore } from './tag-store.ts';

/** A manifest as it is served: byte for byte what was pushed. */
export interface StoredManifest {
  digest: Digest;
  mediaType: string;
  bytes: Buffer;
}

/** How a manifest is read, and whose turn its parsing takes. */
export interface ReadOptions extends TurnOptions {
  /** Called with the size in bytes before they are read; what it throws is passed on. */
  beforeRead?: (size: number) => Promise<void>;
  /** Told of what is read. */
  files?: AnswerValidators | undefined;
}

/** Reads manifests by tag and by digest. */
export interface ManifestReader {
  /** @throws RegistryError MANIFEST_UNKNOWN; {@link DamagedManifestError} */
  get(
    repository: RepositoryName,
    reference: Reference,
    options?: ReadOptions,
  ): Promise<StoredManifest>;
  /** The same by digest, or undefined if the repository has none. @throws {@link DamagedManifestError} */
  read(
    repository: RepositoryName,
    digest: Digest,
    options?: ReadOptions,
  ): Promise<StoredManifest | undefined>;
  /** Where the bytes of a manifest of this repository are; undefined if it has none. */
  find(
    repository: RepositoryName,
    digest: Digest,
    options?: FindOptions,
  ): ReturnType<typeof findBytes>;
}

interface Dependencies {
  driver: StorageDriver;
  trash: Trash;
  tags: TagStore;
}

/**
 * The bytes of a manifest are not those of its digest. To who asks for it it is as if it were not there: who pushes looks first,
 * and pushes what is missing, which mends it. An index that names it is taken: that it is stored is all that is looked at then.
 */
export class DamagedManifestError extends RegistryError {
  constructor(repository: RepositoryName, digest: Digest) {
    super('MANIFEST_UNKNOWN', {
      message: `the stored manifest ${digest} is damaged; push it again`,
      detail: { name: repository, reference: digest },
    });
  }
}

/** Manifests whose media type is remembered. */
const rememberedTypes = 20_000;

export function createManifestReader({ driver, trash, tags }: Dependencies): ManifestReader {
  const mediaTypes = new LRUCache<Digest, string>(atMost(rememberedTypes));

  async function resolve(
    repository: RepositoryName,
    reference: Reference,
    files: AnswerValidators | undefined,
  ): Promise<Digest> {
    const digest =
      reference.kind === 'digest'
        ? reference.digest
        : await tags.resolve(repository, reference.tag, files?.saw);
    if (digest === undefined) throw unknownManifest(repository, reference);
    return digest;
  }

  /** A manifest never changes: what its type is was found once by parsing it. */
  async function mediaTypeOf(digest: Digest, bytes: Buffer, options: TurnOptions): Promise<string> {
    const known = mediaTypes.get(digest);
    if (known !== undefined) return known;
    const found = await parseInTurn(bytes, storedMediaType, options);
    mediaTypes.set(digest, found);
    return found;
  }

  /** Where the bytes of a manifest of this repository are. */
  async function find(
    repository: RepositoryName,
    digest: Digest,
    options: FindOptions = { to: 'its place' },
  ) {
    const item = { kind: 'manifest', repository, digest } as const;
    const target = await readLinkOrRestore(driver, trash, item, options);
    const found =
      target === undefined ? undefined : await findBytes(driver, trash, target, options);
    return target === undefined || found === undefined ? undefined : { ...found, target };
  }

  async function get(
    repository: RepositoryName,
    reference: Reference,
    options?: ReadOptions,
  ): Promise<StoredManifest> {
    const digest = await resolve(repository, reference, options?.files);
    const stored = await read(repository, digest, options);
    if (stored === undefined) throw unknownManifest(repository, reference);
    return stored;
  }

  async function read(
    repository: RepositoryName,
    digest: Digest,
    { beforeRead = async () => {}, files, ...turn }: ReadOptions = {},
  ): Promise<StoredManifest | undefined> {
    // A collection may take the bytes away between the two steps; then they come back.
    for (let look = 1; look <= maxLooks; look += 1) {
      const found = await find(repository, digest, { to: 'anywhere', files });
      if (found === undefined) return undefined;
      await beforeRead(found.size);
      const bytes = await ifPresent(readAll(driver, found.path, files?.saw));
      if (bytes === undefined) continue;
      // Nothing may be remembered of it: it may come to be right again.
      if (!isDigestOf(found.target, bytes)) throw new DamagedManifestError(repository, digest);
      const mediaType = await mediaTypeOf(digest, bytes, turn);
      return { digest, bytes, mediaType };
    }
    return undefined;
  }

  return { get, read, find };
}

/** The error of one that a repository does not have. */
export function unknownManifest(repository: RepositoryName, reference: Reference): RegistryError {
  return new RegistryError('MANIFEST_UNKNOWN', {
    message: `${repository} has no manifest ${formatReference(reference)}`,
    detail: { name: repository, reference: formatReference(reference) },
  });
}
