import type { Digest } from '#libs/oci/digest.ts';
import type { RepositoryName } from '#libs/oci/reference.ts';
import { type StorageDriver, StorageError } from '../../storage/driver.ts';
import { walkRepositories, wholeWalk } from '../catalog.ts';
import { allNotes, isSettled } from '../dangling-links.ts';
import { keyOf } from '../discardable.ts';
import { paths } from '../paths.ts';
import { clearRepository } from './clear-repository.ts';
import {
  type Collection,
  type CollectOptions,
  type CollectReport,
  createDiscard,
} from './collection.ts';
import { emptyTrash } from './empty-trash.ts';
import { dueFrom, epochBegan } from './epoch.ts';
import type { MarkOptions } from './keep-manifests.ts';
import { type MarkedRepository, markRepository } from './mark.ts';
import { sweepBlobs } from './sweep-blobs.ts';
import { createTrash, type Trash } from './trash.ts';

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
    absent: { manifests: 0 },
    garbage: { manifests: 0, layers: 0, blobs: 0, bytes: 0 },
    young: { layers: 0, blobs: 0, bytes: 0 },
    trash: { items: 0, since: undefined },
    freed: { items: 0, bytes: 0 },
    removedRepositories: 0,
  };
  // Decided before marking begins: what came later may still be in the middle of a push.
  const due = (await trash.epochs()).filter(
    (epoch) => dueFrom(epochBegan(epoch), options.grace) <= now(),
  );
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
  const marking = { ...collection, notesSince: new Date(now().getTime() - noteLifetime) };
  await removeOldNotes(marking, now());
  const needed = new Set<Digest>();
  const stuck = new Set<Digest>();
  for await (const [repository, marked] of markAll(marking)) {
    for (const digest of marked.needed) needed.add(digest);
    for (const digest of marked.stuck) stuck.add(digest);
    await clearRepository(collection, repository, marked);
  }
  // Behind all links: what a repair takes away meanwhile is in one place or in the other.
  for await (const digest of targetsOfNotes(marking)) needed.add(digest);
  await sweepBlobs(collection, needed);
  if (!options.dryRun) {
    if (options.grace === 0) {
      for (const digest of await restoreNeeded(marking)) stuck.add(digest);
      due.push(...(await trash.epochs()));
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

/** Milliseconds for which a link may come back of which a note is left. */
const noteLifetime = 30 * 24 * 60 * 60 * 1000;

/** Removes notes of dangling links by which nothing is to come back. */
async function removeOldNotes({ driver, options, notesSince }: Marking, now: Date): Promise<void> {
  if (options.dryRun) return;
  for await (const note of allNotes(driver)) {
    const isOver = note.since < notesSince || (await isSettled(driver, note, now));
    // By its own name: a repair that notes the link anew meanwhile makes another one.
    if (isOver) await driver.remove(note.path);
  }
}

/** What notes of dangling links name: what came back of it stays. */
async function* targetsOfNotes({ driver, notesSince }: Marking): AsyncGenerator<Digest> {
  for await (const { link, since } of allNotes(driver)) if (since >= notesSince) yield link.target;
}

type Marking = Pick<Collection, 'driver' | 'trash' | 'options' | 'olderThan'> &
  Pick<MarkOptions, 'notesSince'>;

/** Goes through all repositories; what they need of the trash comes back. */
async function* markAll({
  driver,
  trash,
  options,
  olderThan,
  notesSince,
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
      notesSince,
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
