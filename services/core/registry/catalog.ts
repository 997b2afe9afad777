import { isRepositoryName, type RepositoryName } from '#libs/oci/reference.ts';
import { ifPresent, type StorageDriver } from '../storage/driver.ts';
import { paths } from './paths.ts';

/** Names read at once. */
const batch = 256;

/** How much of the tree one walk looks at, and how far it came. */
export interface Walk {
  /** Folders that may still be looked at. When there are none left, the walk ends where it is. */
  left: number;
  /** The last folder that was looked at: what comes after it in byte order was not. */
  place: string;
  /** True if the walk ended because nothing was left. */
  cut: boolean;
  /** Also folders in which nothing is left but what we keep beside layers and manifests. */
  withRemains?: boolean;
  signal?: AbortSignal | undefined;
}

/** A walk without an end but the tree's. */
export function wholeWalk(): Walk {
  return { left: Infinity, place: '', cut: false };
}

/**
 * All repositories in byte order of their full names, from the first after `last`. It looks only at what
 * it passes, so a page costs the same wherever it begins and however many there are.
 *
 * A folder may be a repository, hold others, or both: `a` and `a/b`. In byte order `a-x` stands
 * between those two, so a folder counts twice: as itself (`a`), and later as what is below it (`a/`).
 * What is below waits on a stack meanwhile; each folder that waits is a beginning of the next.
 */
export async function* walkRepositories(
  driver: StorageDriver,
  last: string,
  walk: Walk = wholeWalk(),
  parent = '',
): AsyncGenerator<RepositoryName> {
  const prefix = parent === '' ? '' : `${parent}/`;
  // As it is called in this folder; empty where all of the folder comes after it.
  const from = last.startsWith(prefix) ? last.slice(prefix.length) : '';
  const waiting = await foldersAround(driver, prefix, from.split('/', 1)[0] ?? '');
  for await (const name of namesAfter(driver, parent, from)) {
    for (let top = waiting.at(-1); top !== undefined && `${top}/` < name; top = waiting.at(-1)) {
      waiting.pop();
      yield* walkRepositories(driver, last, walk, prefix + top);
    }
    walk.signal?.throwIfAborted();
    if (walk.left <= 0) walk.cut = true;
    if (walk.cut) return;
    const path = prefix + name;
    const { isRepository, hasRemains, hasFolders } = await lookAt(driver, path);
    const found = isRepository || (walk.withRemains === true && hasRemains);
    walk.left -= 1;
    walk.place = path;
    if (found && isRepositoryName(path)) yield path;
    if (hasFolders) waiting.push(name);
  }
  for (let top = waiting.pop(); top !== undefined && !walk.cut; top = waiting.pop()) {
    yield* walkRepositories(driver, last, walk, prefix + top);
  }
}

/** The folders at or before a name below which something comes after it, the outermost first. */
async function foldersAround(
  driver: StorageDriver,
  prefix: string,
  from: string,
): Promise<string[]> {
  const found: string[] = [];
  for (let length = 1; length <= from.length; length += 1) {
    const name = from.slice(0, length);
    const comesLater = length === from.length || `${name}/` > from;
    if (!comesLater || !isRepositoryName(prefix + name)) continue;
    const info = await ifPresent(driver.stat(paths.namespace(prefix + name)));
    if (info?.kind === 'directory') found.push(name);
  }
  return found;
}

async function* namesAfter(
  driver: StorageDriver,
  parent: string,
  from: string,
): AsyncGenerator<string> {
  for (let after = from; ; ) {
    const names = await driver.list(paths.namespace(parent), { after, limit: batch });
    yield* names.filter((name) => !name.startsWith('_'));
    if (names.length < batch) return;
    after = names.at(-1) ?? '';
  }
}

/** What the original calls a repository: a folder with layers, or with manifests. */
export async function isRepository(driver: StorageDriver, path: string): Promise<boolean> {
  return (await lookAt(driver, path)).isRepository;
}

async function lookAt(driver: StorageDriver, path: string) {
  const names = await driver.list(paths.namespace(path));
  return {
    isRepository: names.some((name) => name === '_layers' || name === '_manifests'),
    hasRemains: names.includes('_portcullis'),
    hasFolders: names.some((name) => !name.startsWith('_')),
  };
}
