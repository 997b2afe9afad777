import type { Digest } from '#libs/oci/digest.ts';
import type { RepositoryName } from '#libs/oci/reference.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import { paths } from '../paths.ts';
import { readReferrers } from './mark.ts';
import { type Discardable, keyOf, type Trash } from './trash.ts';

type ManifestItem = Extract<Discardable, { repository: RepositoryName }>;

/** Something in the trash whose time is over. */
interface Due {
  epoch: string;
  item: ManifestItem;
}

/**
 * Removes for good what has been in the trash for long enough, and nobody took back: manifests of all epochs before
 * what they need, and what others are about before these. So whatever a client brings back until it is its turn comes
 * back whole, with its signatures.
 * @param epochs whose time is over
 * @param onExpired called with the size of each in bytes
 * @param signal ends it between two
 */
export async function emptyTrash(
  driver: StorageDriver,
  trash: Trash,
  epochs: readonly string[],
  { onExpired, signal }: { onExpired: (size: number) => void; signal?: AbortSignal | undefined },
): Promise<void> {
  const expire = async (epoch: string, item: Discardable) => {
    signal?.throwIfAborted();
    const size = await trash.expire(epoch, item);
    if (size !== undefined) onExpired(size);
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
    if (isWanted && (await trash.recover(item, 'read')) !== undefined) continue;
    await expire(epoch, item);
  }
  for (const epoch of epochs) {
    for await (const item of trash.items(epoch)) {
      if (item.kind !== 'manifest') await expire(epoch, item);
    }
    await driver.prune?.(paths.trashEpoch(epoch));
  }
}

/** What manifests are about, as the referrers index of their repository says. */
type SubjectsOf = (item: ManifestItem) => ManifestItem[];

async function readSubjects(
  driver: StorageDriver,
  repositories: readonly RepositoryName[],
): Promise<SubjectsOf> {
  const known = new Map<string, Digest[]>();
  const keyIn = (repository: RepositoryName, digest: Digest) => `${repository} ${digest}`;
  for (const repository of new Set(repositories)) {
    for (const { subject, digest } of await readReferrers(driver, repository)) {
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

function subjectsFirst(manifests: readonly Due[], subjectsOf: SubjectsOf): Due[] {
  const waiting = new Map<string, Due[]>();
  for (const due of manifests) {
    const key = keyOf(due.item);
    waiting.set(key, [...(waiting.get(key) ?? []), due]);
  }
  const ordered: Due[] = [];
  const add = (item: ManifestItem) => {
    const key = keyOf(item);
    const found = waiting.get(key);
    if (found === undefined) return;
    waiting.delete(key);
    for (const subject of subjectsOf(item)) add(subject);
    ordered.push(...found);
  };
  for (const { item } of manifests) add(item);
  return ordered;
}

async function holdsAny(trash: Trash, items: readonly ManifestItem[]): Promise<boolean> {
  for (const item of items) if (await trash.holds(item)) return true;
  return false;
}
