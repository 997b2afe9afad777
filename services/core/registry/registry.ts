import type { RepositoryName } from '#libs/oci/reference.ts';
import type { SessionStore } from '../sessions/session-store.ts';
import type { StorageDriver } from '../storage/driver.ts';
import { type BlobStore, createBlobStore } from './blob-store.ts';
import { isRepository, walkRepositories } from './catalog.ts';
import { createManifestStore, type ManifestStore } from './manifest-store.ts';
import { createReferrers, type Referrers } from './referrers.ts';
import { createReferrersIndex } from './referrers-index.ts';
import { createTagStore, type TagStore } from './tag-store.ts';
import { createUploadService, type UploadService } from './uploads/upload-service.ts';

/** Everything the registry can do, over one storage tree. */
export interface Registry {
  blobs: BlobStore;
  manifests: ManifestStore;
  tags: TagStore;
  uploads: UploadService;
  referrers: Referrers;
  /** All repositories in byte order after `last`. */
  repositories(last: string): AsyncIterable<RepositoryName>;
  /** True if the repository has ever been pushed to. */
  hasRepository(name: RepositoryName): Promise<boolean>;
}

export function createRegistry(driver: StorageDriver, sessions: SessionStore): Registry {
  const blobs = createBlobStore(driver);
  const tags = createTagStore(driver);
  const index = createReferrersIndex(driver);
  const manifests = createManifestStore({ driver, blobs, tags, referrers: index });
  return {
    blobs,
    tags,
    manifests,
    referrers: createReferrers({ index, tags, manifests }),
    uploads: createUploadService({ driver, sessions, blobs }),
    repositories: (last) => walkRepositories(driver, last),
    hasRepository: (name) => isRepository(driver, name),
  };
}
