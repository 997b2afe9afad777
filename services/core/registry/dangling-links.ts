import { createHash, randomUUID } from 'node:crypto';
import { type Digest, isDigest } from '#libs/oci/digest.ts';
import { isRepositoryName, isTag, type RepositoryName, type Tag } from '#libs/oci/reference.ts';
import {
  ifPresent,
  type StorageDriver,
  type StoragePath,
  type VisibleStep,
} from '../storage/driver.ts';
import { paths } from './paths.ts';
import { readAll, readLink, writeLink } from './small-files.ts';

/** Which link it is. */
type LinkName = { repository: RepositoryName } & (
  | { kind: 'layer' | 'manifest'; digest: Digest }
  | { kind: 'tag'; tag: Tag }
);

/** A link whose target is not stored. A note is kept of one that is taken out of its place: its target may come back. */
export type DanglingLink = LinkName & {
  /** What it names. */
  target: Digest;
};

/** A note of a dangling link; there may be several of one. */
export interface Note {
  link: DanglingLink;
  path: StoragePath;
  /** When it was made. */
  since: Date;
}

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

/** Notes a link that will be taken out of its place; what was noted of it before counts no more. */
export async function noteLink(
  driver: StorageDriver,
  link: DanglingLink,
  step: VisibleStep,
): Promise<void> {
  const before = await findNotes(driver, link);
  const path = paths.below(folderOf(link.repository), `${namePrefix(link)}.${randomUUID()}`);
  await driver.put(path, Buffer.from(JSON.stringify(link)), step);
  await removeNotes(driver, before);
}

/**
 * Takes a link out of its place, and notes it: what it names may come back, as from the other half of a backup.
 * @param step looks at the repository's lock directly before
 */
export async function replaceByNote(
  driver: StorageDriver,
  link: DanglingLink,
  step: VisibleStep,
): Promise<void> {
  await noteLink(driver, link, step);
  await driver.remove(placeOfLink(link), step);
  const { repository } = link;
  if (link.kind === 'layer') await driver.prune?.(paths.layerFolder(repository, link.digest));
  if (link.kind === 'manifest') await driver.prune?.(paths.revisionFolder(repository, link.digest));
}

/** Puts a link back that was noted; its note is kept until that is done. */
export async function restoreFromNote(
  driver: StorageDriver,
  link: DanglingLink,
  step: VisibleStep,
): Promise<void> {
  const { repository, target } = link;
  if (link.kind === 'tag') {
    await writeLink(driver, paths.tagIndex(repository, link.tag, target), target, step);
  }
  await writeLink(driver, placeOfLink(link), target, step);
  await removeNotes(driver, await findNotes(driver, link), step);
}

/**
 * Where the notes of a link are. Whoever deletes what it is of looks before, and removes them behind what can be refused: one that is
 * made meanwhile is another one.
 */
export async function findNotes(driver: StorageDriver, link: LinkName): Promise<StoragePath[]> {
  const folder = folderOf(link.repository);
  const prefix = namePrefix(link);
  const names = await driver.list(folder, { after: prefix.slice(0, -1), limit: pageSize });
  return names.filter((name) => name.startsWith(prefix)).map((name) => paths.below(folder, name));
}

/** The same of a manifest, and of the tags that pointed at it. */
export async function findNotesOfManifest(
  driver: StorageDriver,
  repository: RepositoryName,
  digest: Digest,
): Promise<StoragePath[]> {
  const found: StoragePath[] = [];
  for await (const { link, path } of notesOf(driver, repository)) {
    const isOfIt =
      link.kind === 'tag'
        ? link.target === digest
        : link.kind === 'manifest' && link.digest === digest;
    if (isOfIt) found.push(path);
  }
  return found;
}

/** @param step for whoever has changed nothing yet: looks at the repository's lock directly before */
export async function removeNotes(
  driver: StorageDriver,
  notes: readonly StoragePath[],
  step?: VisibleStep,
): Promise<void> {
  for (const path of notes) await driver.remove(path, step);
}

/** Milliseconds in which a repair takes a link out of its place that it has noted, and much more. */
const repairTakes = 10 * 60_000;

/** Whether nothing is to come back by a note: its link stands in its place again. */
export async function isSettled(
  driver: StorageDriver,
  { link, since }: Note,
  now: Date,
): Promise<boolean> {
  if (since.getTime() + repairTakes > now.getTime()) return false;
  return (await readLink(driver, placeOfLink(link))) !== undefined;
}

/** Names that are read at once. */
const pageSize = 1000;

/** All notes of a repository. */
export async function* notesOf(
  driver: StorageDriver,
  repository: RepositoryName,
): AsyncGenerator<Note> {
  yield* notesIn(driver, folderOf(repository));
}

/** All notes. */
export async function* allNotes(driver: StorageDriver): AsyncGenerator<Note> {
  for await (const name of namesIn(driver, paths.danglingLinks)) {
    yield* notesIn(driver, paths.below(paths.danglingLinks, name));
  }
}

async function* notesIn(driver: StorageDriver, folder: StoragePath): AsyncGenerator<Note> {
  for await (const name of namesIn(driver, folder)) {
    const path = paths.below(folder, name);
    const info = await ifPresent(driver.stat(path));
    const bytes = info?.kind === 'file' ? await ifPresent(readAll(driver, path)) : undefined;
    const link = bytes === undefined ? undefined : parseNote(bytes);
    if (info !== undefined && link !== undefined) yield { link, path, since: info.modified };
  }
}

async function* namesIn(driver: StorageDriver, folder: StoragePath): AsyncGenerator<string> {
  for (let after = ''; ; ) {
    const names = await driver.list(folder, { after, limit: pageSize });
    yield* names;
    if (names.length < pageSize) return;
    after = names.at(-1) ?? '';
  }
}

function folderOf(repository: RepositoryName): StoragePath {
  return paths.below(paths.danglingLinks, hashOf(repository));
}

/** With which the names of the notes of a link begin, and none of another one's. */
const namePrefix = (link: LinkName) => hashOf(`${link.kind} ${subjectOf(link)}`);

const hashOf = (text: string) => createHash('sha256').update(text).digest('hex');

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
