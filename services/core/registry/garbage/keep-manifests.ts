import { type Digest, isDigestOf } from '#libs/oci/digest.ts';
import { isTag, type RepositoryName } from '#libs/oci/reference.ts';
import { ifPresent, type StorageDriver } from '../../storage/driver.ts';
import { notesOf, placeOfLink } from '../dangling-links.ts';
import { digestsIn } from '../digests-in.ts';
import { type Discardable, keyOf } from '../discardable.ts';
import { findBytes, readLinkOrRestore } from '../find-stored.ts';
import { paths } from '../paths.ts';
import type { ReferrerEntry } from '../referrers-index.ts';
import { readAll, readLink } from '../small-files.ts';
import { namedDigests } from './named-digests.ts';
import type { Trash } from './trash.ts';

export interface MarkOptions {
  /** Also manifests that no tag, index or subject keeps are garbage. */
  untagged: boolean;
  /** Only what is older than this is garbage. */
  olderThan: Date;
  /** What lies in the trash, by {@link keyOf}: what is needed of it comes back. */
  trashed: ReadonlySet<string>;
  /** Notes of dangling links that are older count for nothing. */
  notesSince: Date;
}

/** A manifest that a repository has, by its link. */
export interface Revision {
  target: Digest;
  /** Whether its bytes are stored, and are its own: what it names is not known otherwise. */
  isKnown: boolean;
  names: ReturnType<typeof namedDigests>;
}

/**
 * The manifests of a repository, and those of them whose link is torn: what is to become of these is a person's to judge,
 * and until then nothing goes that they need, as far as their folder's name tells.
 */
export async function readRevisions(
  driver: StorageDriver,
  trash: Trash,
  repository: RepositoryName,
): Promise<{ revisions: Map<Digest, Revision>; torn: Set<Digest> }> {
  const revisions = new Map<Digest, Revision>();
  const torn = new Set<Digest>();
  for await (const digest of digestsIn(driver, paths.revisions(repository))) {
    const link = paths.revisionLink(repository, digest);
    const target = await readLink(driver, link);
    if (target === undefined) {
      if ((await ifPresent(driver.stat(link))) === undefined) continue;
      torn.add(digest);
    }
    revisions.set(digest, await readRevision(driver, trash, target ?? digest));
  }
  return { revisions, torn };
}

async function readRevision(
  driver: StorageDriver,
  trash: Trash,
  target: Digest,
): Promise<Revision> {
  // Its bytes must be seen, wherever they are: what it names depends on them.
  const found = await findBytes(driver, trash, target, { to: 'anywhere' });
  const bytes = found === undefined ? undefined : await ifPresent(readAll(driver, found.path));
  const isKnown = bytes !== undefined && isDigestOf(target, bytes);
  return { target, isKnown, names: namedDigests(bytes ?? Buffer.alloc(0)) };
}

interface KeepOptions extends MarkOptions {
  revisions: ReadonlyMap<Digest, Revision>;
  torn: ReadonlySet<Digest>;
  entries: readonly ReferrerEntry[];
  /** Brings back what lies in the trash, as far as it can. */
  restore(item: Discardable): Promise<void>;
}

export interface KeptManifests {
  kept: ReadonlyMap<Digest, Revision>;
  /** At which tags point. */
  tagged: ReadonlySet<Digest>;
  /** How many manifests and tags a repair has taken away, that may come back. */
  noted: number;
}

/**
 * The manifests that stay: all, or those that a tag points at, with what they name and what is about
 * them, as far as it goes. All where one of them is away or damaged, since nobody knows what it names.
 */
export async function keepManifests(
  driver: StorageDriver,
  trash: Trash,
  repository: RepositoryName,
  { untagged, olderThan, trashed, notesSince, revisions, torn, entries, restore }: KeepOptions,
): Promise<KeptManifests> {
  const kept = new Map<Digest, Revision>();
  const about = new Map<Digest, Digest[]>();
  const addReferrer = (subject: Digest, digest: Digest) => {
    const known = about.get(subject);
    if (known === undefined) about.set(subject, [digest]);
    else known.push(digest);
  };
  for (const [digest, { names }] of revisions) {
    if (names.subject !== undefined) addReferrer(names.subject, digest);
  }
  // What went to the trash with its subject comes back with it.
  for (const { subject, digest } of entries) {
    if (trashed.has(keyOf({ kind: 'manifest', repository, digest }))) addReferrer(subject, digest);
  }
  /** A manifest by its digest, fetched from the trash if it is there. */
  const find = async (digest: Digest): Promise<Revision | undefined> => {
    const known = revisions.get(digest);
    const item = { kind: 'manifest', repository, digest } as const;
    if (known !== undefined || !trashed.has(keyOf(item))) return known;
    await restore(item);
    const target = await readLinkOrRestore(driver, trash, item, { to: 'anywhere' });
    return target === undefined ? undefined : await readRevision(driver, trash, target);
  };

  const roots = new Set<Digest>(torn);
  const tagged = new Set<Digest>();
  for (const name of await driver.list(paths.tags(repository))) {
    const digest = isTag(name)
      ? await readLink(driver, paths.tagCurrent(repository, name))
      : undefined;
    if (digest !== undefined) tagged.add(digest);
  }
  // Behind links and tags: what a repair takes away meanwhile is in one place or in the other.
  const noted = await countNoted(driver, repository, notesSince);
  const isCertain =
    noted === 0 &&
    revisions.values().every(({ isKnown }) => isKnown) &&
    [...tagged].every((digest) => revisions.has(digest));
  for (const digest of tagged) roots.add(digest);
  for (const digest of revisions.keys()) {
    const link = paths.revisionLink(repository, digest);
    const stays = !untagged || !isCertain || (await isYoung(driver, link, olderThan));
    if (stays) roots.add(digest);
  }
  const queue = [...roots];
  const seen = new Set(queue);
  for (let digest = queue.pop(); digest !== undefined; digest = queue.pop()) {
    const revision = await find(digest);
    if (revision === undefined) continue;
    kept.set(digest, revision);
    for (const next of [...revision.names.all, ...(about.get(digest) ?? [])]) {
      if (seen.has(next)) continue;
      seen.add(next);
      queue.push(next);
    }
  }
  return { kept, tagged, noted };
}

/** How many manifests a repository had, by its links or tags, of which notes are left. */
async function countNoted(
  driver: StorageDriver,
  repository: RepositoryName,
  notesSince: Date,
): Promise<number> {
  const targets = new Set<Digest>();
  for await (const { link, since } of notesOf(driver, repository)) {
    if (link.kind === 'layer' || since < notesSince) continue;
    if ((await readLink(driver, placeOfLink(link))) === undefined) targets.add(link.target);
  }
  return targets.size;
}

/** True for what is not older, and for what is gone meanwhile. */
export async function isYoung(
  driver: StorageDriver,
  path: ReturnType<typeof paths.layerLink>,
  olderThan: Date,
): Promise<boolean> {
  const info = await ifPresent(driver.stat(path));
  return info === undefined || info.modified >= olderThan;
}
