import type { RepositoryName } from '#libs/oci/reference.ts';
import type { Locks } from '../sessions/locks.ts';
import type { SessionStore } from '../sessions/session-store.ts';
import type { StorageDriver } from '../storage/driver.ts';
import { type BlobStore, createBlobStore } from './blob-store.ts';
import { isRepository, type Walk, walkRepositories } from './catalog.ts';
import { createTrash } from './garbage/trash.ts';
import { createKnownSources } from './known-sources.ts';
import { createManifestStore, type ManifestStore } from './manifest-store.ts';
import { type ReferenceRules, strictReferences } from './references.ts';
import { createReferrers, type Referrers } from './referrers.ts';
import { createReferrersIndex } from './referrers-index.ts';
import { createTagStore, type TagStore } from './tag-store.ts';
import { type LimitedUploads, limitUploads } from './uploads/limited-uploads.ts';
import { createUploadService } from './uploads/upload-service.ts';

/** Everything the registry can do, over one storage tree. */
export interface Registry {
  blobs: BlobStore;
  manifests: ManifestStore;
  tags: TagStore;
  uploads: LimitedUploads;
  referrers: Referrers;
  /** All repositories in byte order after `last`, as far as the walk may look. */
  repositories(last: string, walk?: Walk): AsyncIterable<RepositoryName>;
  /** True if the repository has ever been pushed to. */
  hasRepository(name: RepositoryName): Promise<boolean>;
}

export interface RegistryOptions {
  driver: StorageDriver;
  sessions: SessionStore;
  locks: Locks;
  /** What a manifest may lack; nothing without it. */
  rules?: ReferenceRules;
  /** Uploads without a byte that one account, and one repository, may have open; any number without it. */
  maxOpenUploads?: number;
  /** Called when an upload goes on here that was another core's before, or that of this one's predecessor. */
  onUploadTakenOver?: () => void;
  now?: () => Date;
}

export function createRegistry({
  driver,
  sessions,
  locks,
  rules = strictReferences,
  maxOpenUploads = Infinity,
  onUploadTakenOver,
  now = () => new Date(),
}: RegistryOptions): Registry {
  const trash = createTrash(driver, rules);
  const blobs = createBlobStore({ driver, trash, locks, sources: createKnownSources() });
  const tags = createTagStore(driver);
  const index = createReferrersIndex(driver);
  const manifests = createManifestStore({
    driver,
    trash,
    locks,
    blobs,
    tags,
    referrers: index,
    rules,
  });
  return {
    blobs,
    tags,
    manifests,
    referrers: createReferrers({ index, tags, manifests }),
    uploads: limitUploads({
      driver,
      uploads: createUploadService({
        driver,
        sessions,
        locks,
        blobs,
        onTakenOver: onUploadTakenOver,
        now,
      }),
      maxOpenUploads,
      now: () => now().getTime(),
    }),
    repositories: (last, walk) => walkRepositories(driver, last, walk),
    hasRepository: (name) => isRepository(driver, name),
  };
}
