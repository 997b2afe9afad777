import { setImmediate as nextLoopTurn } from 'node:timers/promises';
import type { Digest } from '#libs/oci/digest.ts';
import type { RepositoryName } from '#libs/oci/reference.ts';
import { ifPresent, type StorageDriver } from '../../storage/driver.ts';
import { type Discardable, keyOf, placeOf } from '../discardable.ts';
import { paths } from '../paths.ts';
import { createReferrersIndex } from '../referrers-index.ts';
import { readAll } from '../small-files.ts';
import { type Epoch, epochBegan } from './epoch.ts';
import { namedDigests } from './named-digests.ts';
import type { Trash } from './trash.ts';

/** A manifest in the trash. */
export type ManifestItem = Extract<Discardable, { repository: RepositoryName }>;

export interface EmptyOptions {
  /**
   * What is younger stays: an entry of referrers, which a push writes before its manifest; and an item that somebody
   * missed meanwhile and was sent from the trash, since it could not be brought back.
   */
  olderThan: Date;
  /** What is needed, and could not be brought back. */
  needed: ReadonlySet<Digest>;
  /** Called with the size of each item in bytes. */
  onExpired: (size: number) => void;
  /** Ends it between two items. */
  signal?: AbortSignal | undefined;
}

/** Something in the trash whose time is over. */
export interface Due {
  epoch: Epoch;
  item: ManifestItem;
}

/**
 * Removes for good what has been in the trash for long enough, and nobody took back: indexes before the manifests that
 * they name, what others are about before these, and manifests of all epochs before layers and blobs. So whatever a
 * client brings back until it is its turn comes back whole, with its signatures.
 * @param epochs whose time is over
 */
export async function emptyTrash(
  driver: StorageDriver,
  trash: Trash,
  epochs: readonly Epoch[],
  { olderThan, needed, onExpired, signal }: EmptyOptions,
): Promise<void> {
  /** What became young before it came to the trash was young for another reason. */
  const wantedSince = (epoch: Epoch) =>
    new Date(Math.max(olderThan.getTime(), epochBegan(epoch).getTime()));
  const expire = async (epoch: Epoch, item: Discardable) => {
    signal?.throwIfAborted();
    const size = await trash.expire(epoch, item, wantedSince(epoch));
    if (size !== undefined) onExpired(size);
  };
  const referrers = createReferrersIndex(driver);
  /** Nobody else would: the repository may have nothing else, and be seen by no collection any more. */
  const removeEntries = async (item: ManifestItem) => {
    const { repository, digest } = item;
    for (const { digest: subject } of subjectsOf(item)) {
      const isHeld = () => trash.holds(item);
      await referrers.removeStale(repository, subject, digest, { isHeld, olderThan });
      await driver.prune?.(paths.referrers(repository, subject), paths.repositories);
    }
  };
  const manifests: Due[] = [];
  for (const epoch of epochs) {
    for await (const item of trash.items(epoch)) {
      if (item.kind === 'manifest') manifests.push({ epoch, item });
    }
  }
  const subjectsOf = await readSubjects(
    driver,
    manifests.map(({ item }) => item.repository),
  );
  const namesOf = (item: ManifestItem) => readNames(driver, trash, item);
  const indexesOf = await readIndexes(manifests, namesOf);
  /** What could not be brought back to its place, as on a full disk, and what it needs. */
  const stuck = new Set<Digest>(needed);
  const ordered = await inOrder(manifests, (item) => [...subjectsOf(item), ...indexesOf(item)]);
  for (const { epoch, item } of ordered) {
    if (await trash.isWanted(epoch, item, wantedSince(epoch))) stuck.add(item.digest);
    if (await holdsAny(trash, subjectsOf(item))) {
      // Somebody brought its subject back, or still may.
      const restored = await trash.restore(item, 'anywhere');
      if (restored !== undefined && restored !== placeOf(item)) stuck.add(item.digest);
    }
    if (stuck.has(item.digest)) {
      for (const digest of await namesOf(item)) stuck.add(digest);
      continue;
    }
    await expire(epoch, item);
    await removeEntries(item);
  }
  for (const epoch of epochs) {
    for await (const item of trash.items(epoch)) {
      if (item.kind !== 'manifest' && !stuck.has(item.digest)) await expire(epoch, item);
    }
    await driver.prune?.(paths.trashEpoch(epoch));
  }
}

/** Others that have to do with one. */
export type ItemsOf = (item: ManifestItem) => ManifestItem[];

/** What manifests are about, as the referrers index of their repository says. */
async function readSubjects(
  driver: StorageDriver,
  repositories: readonly RepositoryName[],
): Promise<ItemsOf> {
  const known = new Map<string, Digest[]>();
  const keyIn = (repository: RepositoryName, digest: Digest) => `${repository} ${digest}`;
  for (const repository of new Set(repositories)) {
    for await (const { subject, digest } of createReferrersIndex(driver).all(repository)) {
      const key = keyIn(repository, digest);
      known.set(key, [...(known.get(key) ?? []), subject]);
    }
  }
  return ({ repository, digest }) =>
    (known.get(keyIn(repository, digest)) ?? []).map((subject) => ({
      kind: 'manifest',
      repository,
      digest: subject,
    }));
}

/** The indexes among these that name a manifest. */
async function readIndexes(
  manifests: readonly Due[],
  namesOf: (item: ManifestItem) => Promise<ReadonlySet<Digest>>,
): Promise<ItemsOf> {
  const waiting = new Set(manifests.map(({ item }) => keyOf(item)));
  const indexes = new Map<string, ManifestItem[]>();
  for (const { item } of manifests) {
    for (const digest of await namesOf(item)) {
      const key = keyOf({ ...item, digest });
      if (!waiting.has(key)) continue;
      const known = indexes.get(key);
      // Thousands may name one; a new list for each would be their square.
      if (known === undefined) indexes.set(key, [item]);
      else known.push(item);
    }
  }
  return (item) => indexes.get(keyOf(item)) ?? [];
}

/** All that a manifest names but what it is about. */
async function readNames(
  driver: StorageDriver,
  trash: Trash,
  item: ManifestItem,
): Promise<ReadonlySet<Digest>> {
  const bytes = await readWherever(driver, trash, item);
  const { all, subject } = namedDigests(bytes ?? Buffer.alloc(0));
  if (subject !== undefined) all.delete(subject);
  return all;
}

/** The bytes of a manifest, in their place or in the trash, from where they are not taken. */
async function readWherever(
  driver: StorageDriver,
  trash: Trash,
  { digest }: ManifestItem,
): Promise<Buffer | undefined> {
  const inPlace = await ifPresent(readAll(driver, paths.blob(digest)));
  if (inPlace !== undefined) return inPlace;
  for await (const copy of trash.copies({ kind: 'blob', digest })) {
    const bytes = await ifPresent(readAll(driver, copy));
    if (bytes !== undefined) return bytes;
  }
  return undefined;
}

/** Steps between two turns of the event loop: a thousand indexes of thousands of manifests are millions. */
const stepsAtOnce = 20_000;

/** In an order in which each comes after those that are to come before it. */
export async function inOrder(manifests: readonly Due[], before: ItemsOf): Promise<Due[]> {
  const waiting = new Map<string, Due[]>();
  for (const due of manifests) {
    const key = keyOf(due.item);
    waiting.set(key, [...(waiting.get(key) ?? []), due]);
  }
  const ordered: Due[] = [];
  const begun = new Set<string>();
  let steps = 0;
  for (const { item } of manifests) {
    const path = [{ item, left: [item].filter((one) => !begun.has(keyOf(one))) }];
    for (let last = path.at(-1); last !== undefined; last = path.at(-1)) {
      steps += 1;
      if (steps % stepsAtOnce === 0) await nextLoopTurn();
      const next = last.left.pop();
      if (next === undefined) {
        path.pop();
        continue;
      }
      const key = keyOf(next);
      if (next === last.item && begun.has(key)) {
        // All that is to come before it has come.
        ordered.push(...(waiting.get(key) ?? []));
        waiting.delete(key);
        continue;
      }
      if (begun.has(key) || !waiting.has(key)) continue;
      begun.add(key);
      path.push({ item: next, left: [next, ...before(next)] });
    }
  }
  return ordered;
}

async function holdsAny(trash: Trash, items: readonly ManifestItem[]): Promise<boolean> {
  for (const item of items) if (await trash.holds(item)) return true;
  return false;
}
