import { createHash } from 'node:crypto';
import { type Digest, isDigest } from '#libs/oci/digest.ts';
import { isRepositoryName, isTag, type RepositoryName, type Tag } from '#libs/oci/reference.ts';
import {
  ifPresent,
  type StorageDriver,
  type StoragePath,
  type VisibleStep,
} from '../storage/driver.ts';
import { paths } from './paths.ts';
import { readAll, writeLink } from './small-files.ts';

/** Which link it is. */
type LinkName = { repository: RepositoryName } & (
  | { kind: 'layer' | 'manifest'; digest: Digest }
  | { kind: 'tag'; tag: Tag }
);

/** A link whose target is not stored. */
export type DanglingLink = LinkName & {
  /** What it names. */
  target: Digest;
};

/** Digest or tag. */
export function subjectOf(link: LinkName): string {
  return link.kind === 'tag' ? link.tag : link.digest;
}

/** Where it stands, or stood. */
export function placeOfLink(link: LinkName): StoragePath {
  const { repository } = link;
  if (link.kind === 'tag') return paths.tagCurrent(repository, link.tag);
  const { layerLink, revisionLink } = paths;
  return link.kind === 'layer'
    ? layerLink(repository, link.digest)
    : revisionLink(repository, link.digest);
}

/**
 * Takes a link out of its place, and notes it: what it names may come back, as from the other half of a backup.
 * @param step looks at the repository's lock directly before
 */
export async function putLinkAside(
  driver: StorageDriver,
  link: DanglingLink,
  step: VisibleStep,
): Promise<void> {
  await driver.put(noteOf(link), Buffer.from(JSON.stringify(link)), step);
  await driver.remove(placeOfLink(link), step);
}

/** Puts a link back that was noted; its note is kept until that is done. */
export async function putLinkBack(
  driver: StorageDriver,
  link: DanglingLink,
  step: VisibleStep,
): Promise<void> {
  const { repository, target } = link;
  if (link.kind === 'tag') {
    await writeLink(driver, paths.tagIndex(repository, link.tag, target), target, step);
  }
  await writeLink(driver, placeOfLink(link), target, step);
  await driver.remove(noteOf(link));
}

/** Forgets a link: it stands in its place again, or somebody deletes what it is of. */
export async function forgetLink(driver: StorageDriver, link: LinkName): Promise<void> {
  await driver.remove(noteOf(link));
}

/** Names of notes that are read at once. */
const pageSize = 1000;

/** All that were put aside, and when. */
export async function* linksPutAside(
  driver: StorageDriver,
): AsyncGenerator<{ link: DanglingLink; since: Date }> {
  for (let after = ''; ; ) {
    const names = await driver.list(paths.danglingLinks, { after, limit: pageSize });
    for (const name of names) {
      const note = paths.danglingLink(name);
      const info = await ifPresent(driver.stat(note));
      const bytes = info === undefined ? undefined : await ifPresent(readAll(driver, note));
      const link = bytes === undefined ? undefined : parseNote(bytes);
      if (info !== undefined && link !== undefined) yield { link, since: info.modified };
    }
    if (names.length < pageSize) return;
    after = names.at(-1) ?? '';
  }
}

function noteOf(link: LinkName): StoragePath {
  const name = `${link.kind} ${link.repository} ${subjectOf(link)}`;
  return paths.danglingLink(createHash('sha256').update(name).digest('hex'));
}

/** @returns undefined for what we have not written */
function parseNote(bytes: Buffer): DanglingLink | undefined {
  let note: Record<string, unknown> | null;
  try {
    note = JSON.parse(bytes.toString('utf8')) as Record<string, unknown> | null;
  } catch {
    return undefined;
  }
  if (note === null) return undefined;
  const { kind, repository, target, digest, tag } = note;
  if (typeof repository !== 'string' || !isRepositoryName(repository)) return undefined;
  if (typeof target !== 'string' || !isDigest(target)) return undefined;
  const common = { repository, target };
  if (kind === 'tag' && typeof tag === 'string' && isTag(tag)) return { ...common, kind, tag };
  const isLink = kind === 'layer' || kind === 'manifest';
  if (!isLink || typeof digest !== 'string' || !isDigest(digest)) return undefined;
  return { ...common, kind, digest };
}
