import type { Digest } from '#libs/oci/digest.ts';
import type { RepositoryName } from '#libs/oci/reference.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import { paths } from '../paths.ts';
import { createReferrersIndex } from '../referrers-index.ts';
import { type Discardable, keyOf, type Trash } from './trash.ts';

/** A manifest in the trash. */
export type ManifestItem = Extract<Discardable, { repository: RepositoryName }>;

export interface EmptyOptions {
  /** Entries of referrers that are younger stay: a push writes one before its manifest. */
  olderThan: Date;
  /** Called with the size of each item in bytes. */
  onExpired: (size: number) => void;
  /** Ends it between two items. */
  signal?: AbortSignal | undefined;
}

/** Something in the trash whose time is over. */
export interface Due {
  epoch: string;
  item: ManifestItem;
}

/**
 * Removes for good what has been in the trash for long enough, and nobody took back: manifests of all epochs before
 * what they need, and what others are about before these. So whatever a client brings back until it is its turn comes
 * back whole, with its signatures.
 * @param epochs whose time is over
 */
export async function emptyTrash(
  driver: StorageDriver,
  trash: Trash,
  epochs: readonly string[],
  { olderThan, onExpired, signal }: EmptyOptions,
): Promise<void> {
  const expire = async (epoch: string, item: Discardable) => {
    signal?.throwIfAborted();
    const size = await trash.expire(epoch, item);
    if (size !== undefined) onExpired(size);
  };
  const referrers = createReferrersIndex(driver);
  /** Nobody else would: the repository may have nothing else, and be seen by no collection any more. */
  const removeEntries = async (item: ManifestItem) => {
    const { repository, digest } = item;
    for (const { digest: subject } of subjectsOf(item)) {
      await referrers.removeStale(repository, subject, digest, olderThan);
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
  for (const { epoch, item } of subjectsFirst(manifests, subjectsOf)) {
    const isWanted = await holdsAny(trash, subjectsOf(item));
    // Somebody brought its subject back, or still may. Where it cannot follow, it has no use.
    if (isWanted && (await trash.restore(item, 'read')) !== undefined) continue;
    await expire(epoch, item);
    await removeEntries(item);
  }
  for (const epoch of epochs) {
    for await (const item of trash.items(epoch)) {
      if (item.kind !== 'manifest') await expire(epoch, item);
    }
    await driver.prune?.(paths.trashEpoch(epoch));
  }
}

/** What manifests are about, as the referrers index of their repository says. */
export type SubjectsOf = (item: ManifestItem) => ManifestItem[];

async function readSubjects(
  driver: StorageDriver,
  repositories: readonly RepositoryName[],
): Promise<SubjectsOf> {
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

/** In an order in which what others are about comes before these. */
export function subjectsFirst(manifests: readonly Due[], subjectsOf: SubjectsOf): Due[] {
  const waiting = new Map<string, Due[]>();
  for (const due of manifests) {
    const key = keyOf(due.item);
    waiting.set(key, [...(waiting.get(key) ?? []), due]);
  }
  const ordered: Due[] = [];
  for (const { item } of manifests) {
    // What it is about, what that is about, and so on; the last of these comes first.
    const chain = [item];
    const seen = new Set([keyOf(item)]);
    for (const one of chain) {
      for (const subject of subjectsOf(one)) {
        const key = keyOf(subject);
        if (!waiting.has(key) || seen.has(key)) continue;
        seen.add(key);
        chain.push(subject);
      }
    }
    for (const one of chain.reverse()) {
      const key = keyOf(one);
      ordered.push(...(waiting.get(key) ?? []));
      waiting.delete(key);
    }
  }
  return ordered;
}

async function holdsAny(trash: Trash, items: readonly ManifestItem[]): Promise<boolean> {
  for (const item of items) if (await trash.holds(item)) return true;
  return false;
}
