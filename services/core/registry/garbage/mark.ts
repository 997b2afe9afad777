import { type Digest, digestParts } from '#libs/oci/digest.ts';
import { isTag, type RepositoryName, type Tag } from '#libs/oci/reference.ts';
import { ifPresent, type StorageDriver } from '../../storage/driver.ts';
import { digestsIn } from '../digests-in.ts';
import { type Discardable, keyOf, placeOf } from '../discardable.ts';
import { findBytes, readLinkOrRestore } from '../find-stored.ts';
import { paths } from '../paths.ts';
import { createReferrersIndex, type ReferrerEntry } from '../referrers-index.ts';
import { readAll, readLink } from '../small-files.ts';
import { namedDigests } from './named-digests.ts';
import type { Trash } from './trash.ts';

/** What a repository needs of what it has, and what it does not. */
export interface MarkedRepository {
  /** Blobs that must stay for it: manifests, and what they name. */
  needed: Set<Digest>;
  keptManifests: number;
  /** Links to blobs that nothing names, and that are too young to be garbage. */
  youngLayers: number;
  /** Manifests and layers that nothing keeps, old enough to go. */
  garbage: { kind: 'manifest' | 'layer'; digest: Digest }[];
  /** Entries of the referrers index whose manifest is gone. */
  staleReferrers: ReferrerEntry[];
  /** Those that it lacks, of manifests that stay. */
  missingReferrers: ReferrerEntry[];
  /** Folders of tags that a crash left when they were made or deleted. */
  staleTags: Tag[];
  /** What it needs of the trash and could not be brought back, as on a full disk. */
  stuck: Set<Digest>;
  /** Nothing would be left but folders. */
  empty: boolean;
}

export interface MarkOptions {
  /** Also manifests that no tag, index or subject keeps are garbage. */
  untagged: boolean;
  /** Only what is older than this is garbage. */
  olderThan: Date;
  /** What lies in the trash, by {@link keyOf}: what is needed of it comes back. */
  trashed: ReadonlySet<string>;
}

interface Revision {
  target: Digest;
  names: ReturnType<typeof namedDigests>;
}

/** Finds out what a repository needs; what it needs and lies in the trash comes back. */
export async function markRepository(
  driver: StorageDriver,
  trash: Trash,
  repository: RepositoryName,
  options: MarkOptions,
): Promise<MarkedRepository> {
  const { revisions, torn } = await readRevisions(driver, trash, repository);
  const entries = await Array.fromAsync(createReferrersIndex(driver).all(repository));
  const stuck = new Set<Digest>();
  const restore = async (item: Discardable) => {
    if (!options.trashed.has(keyOf(item))) return;
    const path = await trash.restore(item, 'read');
    if (path !== undefined && path !== placeOf(item)) stuck.add(item.digest);
  };
  const kept = await keepManifests(driver, trash, repository, {
    ...options,
    revisions,
    torn,
    entries,
    restore,
  });
  const needed = new Set<Digest>();
  const named = new Set<Digest>();
  for (const { target, names } of kept.values()) {
    needed.add(target);
    for (const digest of names.all) named.add(digest);
  }
  for (const digest of named) {
    needed.add(digest);
    await restore({ kind: 'layer', repository, digest });
  }

  const staleTags = await findStaleTags(driver, repository, options.olderThan);
  const garbage: MarkedRepository['garbage'] = [];
  for (const digest of revisions.keys()) {
    if (!kept.has(digest)) garbage.push({ kind: 'manifest', digest });
  }
  let [layers, youngLayers] = [0, 0];
  for await (const digest of digestsIn(driver, paths.layers(repository))) {
    layers += 1;
    const link = paths.layerLink(repository, digest);
    const young = !named.has(digest) && (await isYoung(driver, link, options.olderThan));
    if (!named.has(digest) && !young) {
      garbage.push({ kind: 'layer', digest });
      continue;
    }
    if (young) youngLayers += 1;
    // A sha512 layer of the original registry stands under another name.
    const { algorithm } = digestParts(digest);
    const target = young || algorithm !== 'sha256' ? await readLink(driver, link) : digest;
    if (target !== undefined) needed.add(target);
  }
  for (const digest of needed) await restore({ kind: 'blob', digest });
  const staleReferrers = await findStaleReferrers(driver, repository, entries, options);
  return {
    needed,
    keptManifests: kept.size,
    youngLayers,
    garbage,
    missingReferrers: findMissingReferrers(kept, entries),
    staleReferrers,
    staleTags,
    stuck,
    empty:
      kept.size === 0 &&
      staleReferrers.length === entries.length &&
      layers === garbage.filter(({ kind }) => kind === 'layer').length &&
      (await driver.list(paths.tags(repository))).length === staleTags.length &&
      (await driver.list(paths.uploads(repository))).length === 0,
  };
}

/**
 * The manifests of a repository, and those of them whose link is torn: what is to become of these is a person's to judge,
 * and until then nothing goes that they need, as far as their folder's name tells.
 */
async function readRevisions(
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
  const found = await findBytes(driver, trash, target, 'read');
  const bytes = found === undefined ? undefined : await ifPresent(readAll(driver, found.path));
  return { target, names: namedDigests(bytes ?? Buffer.alloc(0)) };
}

interface KeepOptions extends MarkOptions {
  revisions: ReadonlyMap<Digest, Revision>;
  torn: ReadonlySet<Digest>;
  entries: readonly ReferrerEntry[];
  /** Brings back what lies in the trash, as far as it can. */
  restore(item: Discardable): Promise<void>;
}

/**
 * The manifests that stay: all, or those that a tag points at, with what they name and what is about
 * them, as far as it goes.
 */
async function keepManifests(
  driver: StorageDriver,
  trash: Trash,
  repository: RepositoryName,
  { untagged, olderThan, trashed, revisions, torn, entries, restore }: KeepOptions,
): Promise<Map<Digest, Revision>> {
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
    const target = await readLinkOrRestore(driver, trash, item, 'read');
    return target === undefined ? undefined : await readRevision(driver, trash, target);
  };

  const roots = new Set<Digest>(torn);
  for (const name of await driver.list(paths.tags(repository))) {
    const digest = isTag(name)
      ? await readLink(driver, paths.tagCurrent(repository, name))
      : undefined;
    if (digest !== undefined) roots.add(digest);
  }
  for (const digest of revisions.keys()) {
    const link = paths.revisionLink(repository, digest);
    if (!untagged || (await isYoung(driver, link, olderThan))) roots.add(digest);
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
  return kept;
}

/** A push or a collection that ended half way may have left them out, or a registry that knows no such index. */
function findMissingReferrers(
  kept: ReadonlyMap<Digest, Revision>,
  entries: readonly ReferrerEntry[],
): ReferrerEntry[] {
  const listed = new Set(entries.map(({ subject, digest }) => `${subject} ${digest}`));
  return [...kept].flatMap(
    ([
      digest,
      {
        names: { subject },
      },
    ]) =>
      subject === undefined || listed.has(`${subject} ${digest}`) ? [] : [{ subject, digest }],
  );
}

async function findStaleReferrers(
  driver: StorageDriver,
  repository: RepositoryName,
  entries: readonly ReferrerEntry[],
  { trashed, olderThan }: MarkOptions,
): Promise<ReferrerEntry[]> {
  const stale: ReferrerEntry[] = [];
  for (const { subject, digest } of entries) {
    // What lies in the trash may come back, and is listed again then.
    if (trashed.has(keyOf({ kind: 'manifest', repository, digest }))) continue;
    // A push lists its manifest before it links it.
    if (await isYoung(driver, paths.referrer(repository, subject, digest), olderThan)) continue;
    const link = await ifPresent(driver.stat(paths.revisionLink(repository, digest)));
    if (link === undefined) stale.push({ subject, digest });
  }
  return stale;
}

/** A link that is torn is a person's to judge; one that is not there is of no tag. */
async function findStaleTags(
  driver: StorageDriver,
  repository: RepositoryName,
  olderThan: Date,
): Promise<Tag[]> {
  const stale: Tag[] = [];
  for (const tag of await driver.list(paths.tags(repository))) {
    if (!isTag(tag)) continue;
    if ((await ifPresent(driver.stat(paths.tagCurrent(repository, tag)))) !== undefined) continue;
    if (!(await isYoung(driver, paths.tag(repository, tag), olderThan))) stale.push(tag);
  }
  return stale;
}

/** True for what is not older, and for what is gone meanwhile. */
async function isYoung(
  driver: StorageDriver,
  path: ReturnType<typeof paths.layerLink>,
  olderThan: Date,
): Promise<boolean> {
  const info = await ifPresent(driver.stat(path));
  return info === undefined || info.modified >= olderThan;
}
