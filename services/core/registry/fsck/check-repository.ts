import type { Digest } from '#libs/oci/digest.ts';
import { type Manifest, parseStoredManifest } from '#libs/oci/manifest.ts';
import { isTag, type RepositoryName, type Tag } from '#libs/oci/reference.ts';
import { ifPresent, type VisibleStep } from '../../storage/driver.ts';
import { replaceByNote } from '../dangling-links.ts';
import { digestsIn } from '../digests-in.ts';
import { placeOf } from '../discardable.ts';
import { namedDigests } from '../garbage/named-digests.ts';
import { paths } from '../paths.ts';
import { referencesOf, strictReferences } from '../references.ts';
import { createReferrersIndex } from '../referrers-index.ts';
import { readAll, writeLink } from '../small-files.ts';
import { removeStaleTag } from '../tag-store.ts';
import { type CheckContext, hasBytes, isThere } from './check-context.ts';
import { readLinkState } from './read-link-state.ts';

/** Milliseconds in which a push writes its manifest after its entry among the referrers: a lease, and much more. */
const pushTakes = 10 * 60_000;

/** Looks at everything of one repository but its uploads. */
export async function checkRepository(
  context: CheckContext,
  repository: RepositoryName,
): Promise<void> {
  context.summary.repositories += 1;
  await checkLinks(context, repository, 'layer');
  const manifests = await checkLinks(context, repository, 'manifest');
  for (const { digest, target } of manifests) {
    await checkManifest(context, repository, digest, target);
  }
  await checkTags(context, repository);
  await checkReferrers(context, repository);
}

/** Links of layers or manifests. @returns those that lead somewhere */
async function checkLinks(
  context: CheckContext,
  repository: RepositoryName,
  kind: 'layer' | 'manifest',
): Promise<{ digest: Digest; target: Digest }[]> {
  const { driver, report, named } = context;
  const sound: { digest: Digest; target: Digest }[] = [];
  const folder = kind === 'layer' ? paths.layers(repository) : paths.revisions(repository);
  for await (const digest of digestsIn(driver, folder)) {
    const path = placeOf({ kind, repository, digest });
    const state = await readLinkState(driver, path);
    if (state === 'absent') continue;
    if (state === 'torn') {
      const isStillSo = async () => (await readLinkState(driver, path)) === 'torn';
      const message = `the link to a ${kind} is empty or torn; it counts as absent`;
      report({
        kind: 'torn-link',
        repository,
        subject: digest,
        message,
        isStillSo,
        repair: (step) => driver.remove(path, step),
      });
      continue;
    }
    named.add(state);
    if (await hasBytes(context, state)) {
      sound.push({ digest, target: state });
      continue;
    }
    report({
      kind: 'dangling-link',
      repository,
      subject: digest,
      message: `the ${kind} is linked, but its bytes are not stored`,
      isStillSo: async () =>
        (await readLinkState(driver, path)) === state && !(await hasBytes(context, state)),
      repair: (step) => replaceByNote(driver, { kind, repository, digest, target: state }, step),
    });
  }
  return sound;
}

/** What a manifest names, and whether the index of referrers knows it. */
async function checkManifest(
  context: CheckContext,
  repository: RepositoryName,
  digest: Digest,
  target: Digest,
): Promise<void> {
  const { driver, report, named, summary } = context;
  summary.manifests += 1;
  const bytes = await ifPresent(readAll(driver, paths.blob(target)));
  if (bytes === undefined) return;
  const names = namedDigests(bytes);
  for (const one of names.all) named.add(one);
  const manifest = parseStoredManifest(bytes);
  for (const reference of manifest === undefined ? [] : referencesOf(manifest, strictReferences)) {
    const isMissing = () => lacks(context, repository, reference);
    if (await isMissing()) {
      report({
        kind: 'missing-content',
        repository,
        subject: digest,
        message: `the manifest refers to ${reference.digest}, which the repository does not have; push it again`,
        isStillSo: async () =>
          (await isThere(context, { kind: 'manifest', repository, digest })) && (await isMissing()),
      });
    }
  }
  for (const { digest: part, size } of manifest === undefined ? [] : partsOf(manifest)) {
    const info = await ifPresent(driver.stat(paths.blob(part)));
    if (info === undefined || info.size === size) continue;
    const message = `the manifest says that ${part} has ${size} bytes, it has ${info.size}`;
    report({
      kind: 'wrong-size',
      repository,
      subject: digest,
      message,
      isStillSo: async () => {
        const now = await ifPresent(driver.stat(paths.blob(part)));
        return now !== undefined && now.size !== size;
      },
    });
  }
  if (names.subject !== undefined) await checkListed(context, repository, digest, names.subject);
}

async function checkListed(
  { driver, report }: CheckContext,
  repository: RepositoryName,
  digest: Digest,
  subject: Digest,
): Promise<void> {
  const path = paths.referrer(repository, subject, digest);
  const isUnlisted = async () => (await ifPresent(driver.stat(path))) === undefined;
  if (!(await isUnlisted())) return;
  report({
    kind: 'unlisted-referrer',
    repository,
    subject: digest,
    message: `the manifest is about ${subject}, but is not listed among its referrers`,
    isStillSo: isUnlisted,
    repair: (step) => createReferrersIndex(driver).add(repository, subject, digest, step),
  });
}

async function lacks(
  context: CheckContext,
  repository: RepositoryName,
  reference: { kind: 'blob' | 'manifest'; digest: Digest },
): Promise<boolean> {
  const kind = reference.kind === 'blob' ? 'layer' : 'manifest';
  const item = { kind, repository, digest: reference.digest } as const;
  const target = await readLinkState(context.driver, placeOf(item));
  if (target === 'torn') return true;
  if (target === 'absent') return !(await context.trash.holds(item));
  return !(await hasBytes(context, target));
}

function partsOf(manifest: Manifest): { digest: Digest; size: number }[] {
  return manifest.kind === 'index' ? manifest.manifests : [manifest.config, ...manifest.layers];
}

async function checkTags(context: CheckContext, repository: RepositoryName): Promise<void> {
  const { driver, report, summary, now } = context;
  for (const tag of await driver.list(paths.tags(repository))) {
    if (!isTag(tag)) continue;
    summary.tags += 1;
    const path = paths.tagCurrent(repository, tag);
    const state = await readLinkState(driver, path);
    const isSame = async () => (await readLinkState(driver, path)) === state;
    if (state === 'absent') {
      const folder = paths.tag(repository, tag);
      // A push writes the history first, and the link behind its locks; a deletion removes them in the other order.
      const places = [folder, paths.tagHistory(repository, tag)];
      const infos = await Promise.all(places.map((place) => ifPresent(driver.stat(place))));
      const changed = Math.max(...infos.map((info) => info?.modified.getTime() ?? 0));
      if (changed > now().getTime() - pushTakes) continue;
      report({
        kind: 'stale-tag',
        repository,
        subject: tag,
        message: 'the tag was deleted, or never finished; its folder is left',
        isStillSo: async () =>
          (await isSame()) && (await ifPresent(driver.stat(folder))) !== undefined,
        repair: (step) => removeStaleTag(driver, repository, tag, step),
      });
      continue;
    }
    if (state === 'torn') {
      const only = await onlyTarget(context, repository, tag);
      report({
        kind: 'torn-link',
        repository,
        subject: tag,
        message:
          only === undefined
            ? 'the tag’s link is empty or torn; push the tag again, or delete it'
            : `the tag’s link is empty or torn; it only ever pointed at ${only}`,
        isStillSo: isSame,
        ...(only === undefined
          ? {}
          : { repair: (step: VisibleStep) => writeLink(driver, path, only, step) }),
      });
      continue;
    }
    const isDangling = async () =>
      !(await isThere(context, { kind: 'manifest', repository, digest: state }));
    if (!(await isDangling())) continue;
    report({
      kind: 'dangling-tag',
      repository,
      subject: tag,
      message: `the tag points at ${state}, which the repository does not have`,
      isStillSo: async () => (await isSame()) && (await isDangling()),
      async repair(step) {
        await replaceByNote(driver, { kind: 'tag', repository, tag, target: state }, step);
        await removeStaleTag(driver, repository, tag, step);
      },
    });
  }
}

/** What a tag points at, if its history names one manifest only, and that is here. */
async function onlyTarget(
  context: CheckContext,
  repository: RepositoryName,
  tag: Tag,
): Promise<Digest | undefined> {
  const history: Digest[] = [];
  for await (const digest of digestsIn(context.driver, paths.tagHistory(repository, tag))) {
    history.push(digest);
  }
  const [only, ...others] = history;
  if (only === undefined || others.length > 0) return undefined;
  const item = { kind: 'manifest', repository, digest: only } as const;
  return (await isThere(context, item)) ? only : undefined;
}

/** Entries of the referrers index whose manifest is not here. */
async function checkReferrers(context: CheckContext, repository: RepositoryName): Promise<void> {
  const { driver, report, now } = context;
  for await (const { subject, digest } of createReferrersIndex(driver).all(repository)) {
    const isStale = async () => !(await isThere(context, { kind: 'manifest', repository, digest }));
    if (!(await isStale())) continue;
    const entry = await ifPresent(driver.stat(paths.referrer(repository, subject, digest)));
    if (entry === undefined || entry.modified.getTime() > now().getTime() - pushTakes) continue;
    report({
      kind: 'stale-referrer',
      repository,
      subject: digest,
      message: `it is listed among the referrers of ${subject}, but is not here`,
      isStillSo: isStale,
      repair: (step) => driver.remove(paths.referrer(repository, subject, digest), step),
    });
  }
}
