import type { Readable } from 'node:stream';
import type { ReadableFile } from '#libs/files/readable-file.ts';
import type { Digest } from '#libs/oci/digest.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import type { RepositoryName } from '#libs/oci/reference.ts';
import type { Locks, Requester } from '../sessions/locks.ts';
import {
  ifPresent,
  type ReadOptions,
  type ReadRange,
  type StorageDriver,
  type StoragePath,
  type VisibleStep,
} from '../storage/driver.ts';
import type { AnswerValidators } from './answer-validators.ts';
import { assertCondition, type Condition } from './condition.ts';
import { findNotes, removeNotes } from './dangling-links.ts';
import { type FindOptions, findBytes, readLinkOrRestore } from './find-stored.ts';
import type { Trash } from './garbage/trash.ts';
import { type KnownSources, sourcesPerBlob } from './known-sources.ts';
import { maxLooks } from './looks.ts';
import { paths } from './paths.ts';
import { readLink, writeLink } from './small-files.ts';

/** A blob that a repository has. */
export interface StoredBlob {
  digest: Digest;
  /** Bytes. */
  size: number;
  /** Where its bytes are, unless a collection takes them away meanwhile. */
  path: StoragePath;
  /** @throws RegistryError BLOB_UNKNOWN if its bytes are gone by now */
  open(range?: ReadRange, options?: ReadOptions): Promise<Readable>;
  /**
   * The same as a file, where the storage has files.
   * @throws RegistryError BLOB_UNKNOWN if its bytes are gone by now
   */
  openFile?(): Promise<ReadableFile>;
}

/**
 * The blobs of a repository. Bytes are stored once for all repositories; a link in a repository is
 * what gives it the right to serve them.
 */
export interface BlobStore {
  /**
   * @param files told of what decides that
   * @throws RegistryError BLOB_UNKNOWN unless the repository has the blob and its bytes are there
   */
  get(repository: RepositoryName, digest: Digest, files?: AnswerValidators): Promise<StoredBlob>;
  /** True if the bytes are there, also if they have to come back from the trash, whichever repositories have them. */
  areBytesThere(digest: Digest): Promise<boolean>;
  /** True if the repository has the blob and its bytes are there. */
  has(repository: RepositoryName, digest: Digest): Promise<boolean>;
  /**
   * Gives a blob whose bytes are stored to a repository, whose lock the caller has; durable when it resolves.
   */
  link(repository: RepositoryName, digest: Digest, step?: VisibleStep): Promise<void>;
  /**
   * Gives `to` what `from` has, without copying (distribution-spec, "Mounting a blob").
   * @returns false if `from` does not have it
   */
  mount(
    from: RepositoryName,
    to: RepositoryName,
    digest: Digest,
    requester?: Requester,
  ): Promise<boolean>;
  /**
   * Gives `to` what it, or a repository that the caller may pull, is known to have. What is found and
   * what is not costs the same operations, so that nobody learns from the time what others have.
   * @returns false if nothing is found
   */
  mountFromAnywhere(
    to: RepositoryName,
    digest: Digest,
    mayPull: (name: RepositoryName) => boolean,
    requester?: Requester,
  ): Promise<boolean>;
  /**
   * Takes the blob from this repository only.
   * @throws RegistryError BLOB_UNKNOWN, PRECONDITION_FAILED
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
  sources: KnownSources;
}

export function createBlobStore({ driver, trash, locks, sources }: Dependencies): BlobStore {
  /** Where the bytes are: the link's text decides, since the original stores sha512 under sha256. */
  async function find(repository: RepositoryName, digest: Digest, options: FindOptions) {
    const item = { kind: 'layer', repository, digest } as const;
    const target = await readLinkOrRestore(driver, trash, item, options);
    const found =
      target === undefined ? undefined : await findBytes(driver, trash, target, options);
    if (target === undefined || found === undefined) return undefined;
    sources.remember(repository, digest);
    return { ...found, target };
  }

  async function linkLayer(
    to: RepositoryName,
    digest: Digest,
    target: Digest,
    step: VisibleStep | undefined,
  ): Promise<void> {
    await writeLink(driver, paths.layerLink(to, digest), target, step);
    sources.remember(to, digest);
  }

  /** The same for a caller that has no lock yet: no delete in the repository comes between. */
  async function linkLayerLocked(
    to: RepositoryName,
    digest: Digest,
    target: Digest,
    requester: Requester | undefined,
  ): Promise<void> {
    using shared = await locks.shared(to, requester);
    await linkLayer(to, digest, target, shared);
  }

  return {
    async get(repository, digest, files) {
      const unknown = () =>
        new RegistryError('BLOB_UNKNOWN', { detail: { name: repository, digest } });
      const first = await find(repository, digest, { to: 'anywhere', files });
      if (first === undefined) throw unknown();
      return {
        digest,
        size: first.size,
        path: first.path,
        open: (range, options) => openAt((path) => driver.read(path, range, options)),
        ...(driver.openFile === undefined
          ? {}
          : {
              openFile: () => openAt((path) => (driver as Required<typeof driver>).openFile(path)),
            }),
      };

      async function openAt<T>(openPath: (path: StoragePath) => Promise<T>): Promise<T> {
        let found: { path: StoragePath } | undefined = first;
        // A collection may have taken the bytes away since; then they come back.
        for (let attempt = 1; attempt <= maxLooks && found !== undefined; attempt += 1) {
          const opened = await ifPresent(openPath(found.path));
          if (opened !== undefined) return opened;
          found = await find(repository, digest, { to: 'anywhere' });
        }
        throw unknown();
      }
    },

    areBytesThere: async (digest) => (await findBytes(driver, trash, digest)) !== undefined,

    async has(repository, digest) {
      return (await find(repository, digest, { to: 'its place' })) !== undefined;
    },

    link: (repository, digest, step) => linkLayer(repository, digest, digest, step),

    async mount(from, to, digest, requester) {
      const found = await find(from, digest, { to: 'its place' });
      if (found === undefined) return false;
      await linkLayerLocked(to, digest, found.target, requester);
      return true;
    },

    async mountFromAnywhere(to, digest, mayPull, requester) {
      const known = sources.find(digest).filter((name) => name !== to);
      const candidates = Array.from({ length: sourcesPerBlob }, (_, index) => known[index] ?? to);
      let source: Digest | undefined;
      for (const name of candidates) {
        const target = await readLink(driver, paths.layerLink(name, digest));
        const info = await ifPresent(driver.stat(paths.blob(target ?? digest)));
        const usable = mayPull(name) && target !== undefined && info?.kind === 'file';
        if (usable) source ??= target;
      }
      if (source === undefined) return false;
      await linkLayerLocked(to, digest, source, requester);
      return true;
    },

    async remove(repository, digest, condition, requester) {
      using alone = await locks.exclusive(repository, requester);
      const item = { kind: 'layer', repository, digest } as const;
      const present = (await readLinkOrRestore(driver, trash, item)) !== undefined;
      assertCondition(condition, present ? digest : undefined, `blob ${digest}`);
      const notes = await findNotes(driver, item);
      if (!present) {
        await removeNotes(driver, notes, alone);
        throw new RegistryError('BLOB_UNKNOWN', { detail: { name: repository, digest } });
      }
      await trash.deleteEverywhere(item, alone);
      await driver.prune?.(paths.layerFolder(repository, digest));
      // Behind all that can be refused; whoever asks again, having got no answer, has it removed as well.
      await removeNotes(driver, notes);
    },
  };
}
