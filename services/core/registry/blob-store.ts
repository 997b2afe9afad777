import type { Readable } from 'node:stream';
import type { Digest } from '#libs/oci/digest.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import type { RepositoryName } from '#libs/oci/reference.ts';
import { ifPresent, type ReadRange, type StorageDriver } from '../storage/driver.ts';
import { paths } from './paths.ts';
import { readLink, writeLink } from './small-files.ts';

export interface BlobInfo {
  digest: Digest;
  /** Bytes. */
  size: number;
}

/**
 * The blobs of a repository. Bytes are stored once for all repositories; a link in a repository is
 * what gives it the right to serve them.
 */
export interface BlobStore {
  /** @throws RegistryError BLOB_UNKNOWN unless the repository has the blob and its bytes are there */
  stat(repository: RepositoryName, digest: Digest): Promise<BlobInfo>;
  /** @throws RegistryError BLOB_UNKNOWN */
  open(repository: RepositoryName, digest: Digest, range?: ReadRange): Promise<Readable>;
  /** True if the repository has the blob and its bytes are there. */
  has(repository: RepositoryName, digest: Digest): Promise<boolean>;
  /** Gives a blob whose bytes are stored to a repository; durable when it resolves. */
  link(repository: RepositoryName, digest: Digest): Promise<void>;
  /**
   * Gives `to` what `from` has, without copying (distribution-spec, "Mounting a blob").
   * @returns false if `from` does not have it
   */
  mount(from: RepositoryName, to: RepositoryName, digest: Digest): Promise<boolean>;
  /** Takes the blob from this repository only. @throws RegistryError BLOB_UNKNOWN */
  remove(repository: RepositoryName, digest: Digest): Promise<void>;
}

export function createBlobStore(driver: StorageDriver): BlobStore {
  /** Where the bytes are: the link's text decides, since the original stores sha512 under sha256. */
  async function find(repository: RepositoryName, digest: Digest) {
    const target = await readLink(driver, paths.layerLink(repository, digest));
    if (target === undefined) return undefined;
    const info = await ifPresent(driver.stat(paths.blob(target)));
    return info === undefined ? undefined : { path: paths.blob(target), size: info.size };
  }

  async function get(repository: RepositoryName, digest: Digest) {
    const found = await find(repository, digest);
    if (found === undefined) {
      throw new RegistryError('BLOB_UNKNOWN', { detail: { name: repository, digest } });
    }
    return found;
  }

  const store: BlobStore = {
    async stat(repository, digest) {
      return { digest, size: (await get(repository, digest)).size };
    },

    async open(repository, digest, range) {
      const { path } = await get(repository, digest);
      const stream = await ifPresent(driver.read(path, range));
      if (stream === undefined) throw new RegistryError('BLOB_UNKNOWN', { detail: { digest } });
      return stream;
    },

    async has(repository, digest) {
      return (await find(repository, digest)) !== undefined;
    },

    async link(repository, digest) {
      await writeLink(driver, paths.layerLink(repository, digest), digest);
    },

    async mount(from, to, digest) {
      const target = await readLink(driver, paths.layerLink(from, digest));
      if (target === undefined) return false;
      if ((await ifPresent(driver.stat(paths.blob(target)))) === undefined) return false;
      await writeLink(driver, paths.layerLink(to, digest), target);
      return true;
    },

    async remove(repository, digest) {
      if ((await readLink(driver, paths.layerLink(repository, digest))) === undefined) {
        throw new RegistryError('BLOB_UNKNOWN', { detail: { name: repository, digest } });
      }
      await driver.remove(paths.layerFolder(repository, digest));
    },
  };
  return store;
}
