import { type Digest, isDigest } from '#libs/oci/digest.ts';
import type { RepositoryName } from '#libs/oci/reference.ts';
import { ifPresent, type StorageDriver, StorageError } from '../../storage/driver.ts';
import { walkRepositories, wholeWalk } from '../catalog.ts';
import { type Discardable, keyOf, placeOf } from '../discardable.ts';
import { paths } from '../paths.ts';
import { createReferrersIndex } from '../referrers-index.ts';
import { removeStaleTag } from '../tag-store.ts';
import { emptyTrash } from './empty-trash.ts';
import { createEpoch, type Epoch, epochBegan, epochLength } from './epoch.ts';
import { type MarkedRepository, markRepository } from './mark.ts';
import { createTrash, type Trash } from './trash.ts';

export interface CollectOptions {
  /** Also manifests that no tag, index or subject keeps are garbage. */
  untagged: boolean;
  /** Only find out; nothing is taken away. */
  dryRun: boolean;
  /** Milliseconds; nothing younger is garbage. */
  delay: number;
  /** Milliseconds the trash keeps what came; 0 empties it at once, when nobody pushes. */
  grace: number;
  /** Called for each thing that is garbage, before it goes. */
  onGarbage?: (item: Discardable, size: number) => void;
  onProgress?: (progress: CollectProgress) => void;
  /** Ends it between two things, with what it is aborted with. */
  signal?: AbortSignal;
  now?: () => Date;
}

export interface CollectProgress {
  phase: 'marking' | 'sweeping' | 'emptying';
  /** Repositories marked, blobs looked at, or items removed so far. */
  done: number;
}

/** What a collection did, or would do. Sizes in bytes. */
export interface CollectReport {
  repositories: number;
  kept: { manifests: number; blobs: number };
  /** Taken to the trash. */
  garbage: { manifests: number; layers: number; blobs: number; bytes: number };
  /** Not needed, and left alone because they are younger than the delay. */
  young: { layers: number; blobs: number; bytes: number };
  /** What is in the trash afterwards, and since when the oldest of it; undefined if it is empty. */
  trash: { items: number; since: Date | undefined };
  /** Removed for good, from earlier collections. */
  freed: { items: number; bytes: number };
  /** Repositories that were empty, and are gone. */
  removedRepositories: number;
}

/**
 * Collects garbage while the registry serves (docs/garbage-collection.md). Candidates are moved to the
 * trash, not removed; what is missed comes back. A later collection empties what has been there for
 * longer than `grace`, after it has marked anew. On a full disk, where nothing can be moved, it empties what is due, and
 * begins again with the room that there is then.
 * @throws StorageError no-space if there was nothing to be emptied
 */
export async function collectGarbage(
  driver: StorageDriver,
  options: CollectOptions,
): Promise<CollectReport> {
  const { report, full } = await collectOnce(driver, options);
  if (full === undefined) return report;
  const { freed } = report;
  if (freed.items === 0) throw full;
  const again = await collectOnce(driver, options);
  if (again.full !== undefined) throw again.full;
  again.report.freed.items += freed.items;
  again.report.freed.bytes += freed.bytes;
  return again.report;
}

async function collectOnce(
  driver: StorageDriver,
  options: CollectOptions,
): Promise<{ report: CollectReport; full: StorageError | undefined }> {
  const { now = () => new Date() } = options;
  const trash = createTrash(driver);
  const report: CollectReport = {
    repositories: 0,
    kept: { manifests: 0, blobs: 0 },
    garbage: { manifests: 0, layers: 0, blobs: 0, bytes: 0 },
    young: { layers: 0, blobs: 0, bytes: 0 },
    trash: { items: 0, since: undefined },
    freed: { items: 0, bytes: 0 },
    removedRepositories: 0,
  };
  // Decided before marking begins: what came later may still be in the middle of a push.
  const due = await epochsBefore(trash, now().getTime() - options.grace - epochLength);
  let full: StorageError | undefined;
  const collection: Collection = {
    driver,
    trash,
    options,
    olderThan: new Date(now().getTime() - options.delay),
    discard: createDiscard(trash, options, now),
    report,
    async whileThereIsRoom(action) {
      try {
        if (full === undefined) await action();
      } catch (error) {
        if (!(error instanceof StorageError) || error.code !== 'no-space') throw error;
        full = error;
      }
    },
  };
  const needed = new Set<Digest>();
  const stuck = new Set<Digest>();
  for await (const [repository, marked] of markAll(collection)) {
    for (const digest of marked.needed) needed.add(digest);
    for (const digest of marked.stuck) stuck.add(digest);
    await clearRepository(collection, repository, marked);
  }
  await sweep(collection, needed);
  if (!options.dryRun) {
    if (options.grace === 0) {
      for (const digest of await restoreNeeded(collection)) stuck.add(digest);
      due.push(...(await epochsBefore(trash, Number.POSITIVE_INFINITY)));
    }
    await emptyTrash(driver, trash, [...new Set(due)], {
      olderThan: collection.olderThan,
      needed: stuck,
      signal: options.signal,
      onExpired(size) {
        report.freed.items += 1;
        report.freed.bytes += size;
        options.onProgress?.({ phase: 'emptying', done: report.freed.items });
      },
    });
  }
  report.trash = await lookInto(trash);
  return { report, full };
}

async function lookInto(trash: Trash): Promise<CollectReport['trash']> {
  let items = 0;
  let since: Date | undefined;
  for (const epoch of await trash.epochs()) {
    for await (const _ of trash.items(epoch)) {
      items += 1;
      since ??= epochBegan(epoch);
    }
  }
  return { items, since };
}

type Discard = (item: Discardable, size: number) => Promise<void>;

interface Collection {
  driver: StorageDriver;
  trash: Trash;
  options: CollectOptions;
  /** Only what is older than this is garbage. */
  olderThan: Date;
  discard: Discard;
  report: CollectReport;
  /** Does what needs room, until there is none. */
  whileThereIsRoom(action: () => Promise<void>): Promise<void>;
}

function createDiscard(trash: Trash, options: CollectOptions, now: () => Date): Discard {
  let epoch = createEpoch(now());
  return async (item, size) => {
    options.signal?.throwIfAborted();
    options.onGarbage?.(item, size);
    if (options.dryRun) return;
    if (now().getTime() - epochBegan(epoch).getTime() > epochLength) {
      epoch = createEpoch(now());
    }
    await trash.discard(epoch, item);
  };
}

async function epochsBefore(trash: Trash, time: number): Promise<Epoch[]> {
  const epochs = await trash.epochs();
  return epochs.filter((epoch) => epochBegan(epoch).getTime() <= time);
}

type Marking = Pick<Collection, 'driver' | 'trash' | 'options' | 'olderThan'>;

/** Goes through all repositories; what they need of the trash comes back. */
async function* markAll({
  driver,
  trash,
  options,
  olderThan,
}: Marking): AsyncGenerator<[RepositoryName, MarkedRepository]> {
  const trashed = new Set<string>();
  for (const epoch of await trash.epochs()) {
    // Of an epoch from which everything was taken back only folders are left.
    if (!options.dryRun) await driver.prune?.(paths.trashEpoch(epoch));
    for await (const item of trash.items(epoch)) trashed.add(keyOf(item));
  }
  let done = 0;
  const walk = { ...wholeWalk(), withRemains: true };
  for await (const repository of walkRepositories(driver, '', walk)) {
    const { untagged } = options;
    const marked = await markRepository(driver, trash, repository, {
      untagged,
      olderThan,
      trashed,
    });
    done += 1;
    options.signal?.throwIfAborted();
    options.onProgress?.({ phase: 'marking', done });
    yield [repository, marked];
  }
}

/** Brings back what came to be needed while this collection discarded it. @returns what could not be brought back */
async function restoreNeeded(marking: Marking): Promise<Set<Digest>> {
  const all = new Set<Digest>();
  for await (const [, { stuck }] of markAll(marking)) {
    for (const digest of stuck) all.add(digest);
  }
  return all;
}

/** Takes away what a repository has and does not need. */
async function clearRepository(
  { driver, trash, options: { dryRun }, olderThan, discard, report, whileThereIsRoom }: Collection,
  repository: RepositoryName,
  {
    keptManifests,
    youngLayers,
    garbage,
    staleReferrers,
    missingReferrers,
    staleTags,
    empty,
  }: MarkedRepository,
): Promise<void> {
  report.repositories += 1;
  report.kept.manifests += keptManifests;
  report.young.layers += youngLayers;
  for (const { kind, digest } of garbage) {
    report.garbage[kind === 'manifest' ? 'manifests' : 'layers'] += 1;
    await whileThereIsRoom(() => discard({ kind, repository, digest }, 0));
    if (dryRun) continue;
    const folder = kind === 'manifest' ? paths.revisionFolder : paths.layerFolder;
    await driver.prune?.(folder(repository, digest));
  }
  if (!dryRun) {
    const referrers = createReferrersIndex(driver);
    for (const { subject, digest } of staleReferrers) {
      // Also in the trash: another collection may have taken it there meanwhile.
      const isHeld = () => trash.holds({ kind: 'manifest', repository, digest });
      await referrers.removeStale(repository, subject, digest, { isHeld, olderThan });
    }
    for (const { subject, digest } of missingReferrers) {
      const link = await ifPresent(driver.stat(paths.revisionLink(repository, digest)));
      if (link === undefined) continue;
      await whileThereIsRoom(() => referrers.ensure(repository, subject, digest));
    }
    for (const tag of staleTags) await removeStaleTag(driver, repository, tag);
  }
  if (!empty) return;
  report.removedRepositories += 1;
  if (dryRun) return;
  // Folders only: whatever is pushed meanwhile makes its own again.
  await driver.prune?.(paths.namespace(repository), paths.repositories);
}

/** Takes blobs away that no repository needs. */
async function sweep(
  { driver, options, olderThan, discard, report, whileThereIsRoom }: Collection,
  needed: ReadonlySet<Digest>,
): Promise<void> {
  let done = 0;
  for (const algorithm of await driver.list(paths.blobs())) {
    for (const prefix of await driver.list(paths.blobs(algorithm))) {
      for await (const digest of blobsIn(driver, algorithm, prefix)) {
        options.signal?.throwIfAborted();
        done += 1;
        if (done % 1000 === 0) options.onProgress?.({ phase: 'sweeping', done });
        if (needed.has(digest)) {
          report.kept.blobs += 1;
          continue;
        }
        const item = { kind: 'blob', digest } as const;
        const info = await ifPresent(driver.stat(placeOf(item)));
        if (info !== undefined && info.modified >= olderThan) {
          report.kept.blobs += 1;
          report.young.blobs += 1;
          report.young.bytes += info.size;
          continue;
        }
        if (info !== undefined) {
          report.garbage.blobs += 1;
          report.garbage.bytes += info.size;
          await whileThereIsRoom(() => discard(item, info.size));
        }
        if (!options.dryRun) await driver.prune?.(paths.blobFolder(digest));
      }
    }
  }
  options.onProgress?.({ phase: 'sweeping', done });
}

async function* blobsIn(
  driver: StorageDriver,
  algorithm: string,
  prefix: string,
): AsyncGenerator<Digest> {
  for (const hex of await driver.list(paths.blobs(algorithm, prefix))) {
    const digest = `${algorithm}:${hex}`;
    if (isDigest(digest) && hex.startsWith(prefix)) yield digest;
  }
}
