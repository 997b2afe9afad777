import { type Digest, digestParts } from '#libs/oci/digest.ts';
import { isTag, type RepositoryName, type Tag } from '#libs/oci/reference.ts';
import { ifPresent, type StorageDriver } from '../../storage/driver.ts';
import { digestsIn } from '../digests-in.ts';
import { type Discardable, keyOf, placeOf } from '../discardable.ts';
import { paths } from '../paths.ts';
import { createReferrersIndex, type ReferrerEntry } from '../referrers-index.ts';
import { readLink } from '../small-files.ts';
import {
  isYoung,
  type KeptManifests,
  keepManifests,
  type MarkOptions,
  type Revision,
  readRevisions,
} from './keep-manifests.ts';
import type { Trash } from './trash.ts';

/** What a repository needs of what it has, and what it does not. */
export interface MarkedRepository {
  /** Blobs that must stay for it: manifests, and what they name. */
  needed: Set<Digest>;
  keptManifests: number;
  /** Manifests that are away or damaged, linked or put aside by a repair: nothing goes that they may name. */
  absentManifests: number;
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
    const path = await trash.restore(item, 'anywhere');
    if (path !== undefined && path !== placeOf(item)) stuck.add(item.digest);
  };
  const manifests = await keepManifests(driver, trash, repository, {
    ...options,
    revisions,
    torn,
    entries,
    restore,
  });
  const { kept, noted } = manifests;
  const unlinked = await unlinkedTargets(driver, trash, repository, manifests);
  const needed = new Set<Digest>(unlinked);
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
  const linked = kept.values().filter(({ isKnown }) => !isKnown);
  const absentManifests = linked.toArray().length + noted + unlinked.length;
  let [layers, youngLayers] = [0, 0];
  for await (const digest of digestsIn(driver, paths.layers(repository))) {
    layers += 1;
    const link = paths.layerLink(repository, digest);
    const isNamed = named.has(digest);
    const young = !isNamed && (await isYoung(driver, link, options.olderThan));
    if (!isNamed && !young && absentManifests === 0) {
      garbage.push({ kind: 'layer', digest });
      continue;
    }
    if (young) youngLayers += 1;
    // A sha512 layer of the original registry stands under another name.
    const { algorithm } = digestParts(digest);
    const target = !isNamed || algorithm !== 'sha256' ? await readLink(driver, link) : digest;
    if (target !== undefined) needed.add(target);
  }
  for (const digest of needed) await restore({ kind: 'blob', digest });
  const staleReferrers = await findStaleReferrers(driver, repository, entries, options);
  return {
    needed,
    keptManifests: kept.size,
    absentManifests,
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

/** Manifests at which tags point and that the repository does not have: their links may come back, as from a backup. */
async function unlinkedTargets(
  driver: StorageDriver,
  trash: Trash,
  repository: RepositoryName,
  { kept, tagged }: KeptManifests,
): Promise<Digest[]> {
  const targets: Digest[] = [];
  for (const digest of tagged) {
    if (kept.has(digest)) continue;
    const item = { kind: 'manifest', repository, digest } as const;
    // Pushed meanwhile, or just coming back.
    const isThere = (await ifPresent(driver.stat(placeOf(item)))) !== undefined;
    if (!isThere && !(await trash.holds(item))) targets.push(digest);
  }
  return targets;
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
