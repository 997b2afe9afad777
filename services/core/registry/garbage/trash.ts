import { parseStoredManifest } from '#libs/oci/manifest.ts';
import { isRepositoryName, type RepositoryName } from '#libs/oci/reference.ts';
import {
  ifPresent,
  type StorageDriver,
  StorageError,
  type StoragePath,
  type VisibleStep,
} from '../../storage/driver.ts';
import { digestsIn } from '../digests-in.ts';
import { type Discardable, keyOf, placeOf, type Restorer, type RestoreTo } from '../discardable.ts';
import { findBytes, readLinkOrRestore } from '../find-stored.ts';
import { maxLooks } from '../looks.ts';
import { paths, trashedLinkFolders } from '../paths.ts';
import { type ReferenceRules, referencesOf } from '../references.ts';
import { readAll, readLink } from '../small-files.ts';
import { type Epoch, isEpoch } from './epoch.ts';

function trashPath(epoch: Epoch, item: Discardable): StoragePath {
  const { digest } = item;
  if (item.kind === 'blob') return paths.trashedBlob(epoch, digest);
  return paths.trashedLink(epoch, item.repository, item.kind, digest);
}

/**
 * What collections took away. Nothing of it is lost before its grace is over: whatever misses a file
 * of the tree looks here and takes it back. Items lie below the epoch in which they came, which says
 * when; any number of processes may use one trash at once.
 */
export interface Trash extends Restorer {
  /** Takes an item away. @returns false if it is not in its place (any more) */
  discard(epoch: Epoch, item: Discardable): Promise<boolean>;
  /** True while it lies in the trash, or somebody is just putting it back. */
  holds(item: Discardable): Promise<boolean>;
  /**
   * Removes an item for good, as somebody deletes it: from its place and from the trash, also where a collection or
   * somebody who misses it moves it between the two meanwhile.
   * @param folder what is removed at its place, if that is more than the item
   * @param step called directly before each removal
   */
  deleteEverywhere(
    item: Discardable,
    step: Required<VisibleStep>,
    folder?: StoragePath,
  ): Promise<void>;
  /** The epochs there are, oldest first. */
  epochs(): Promise<Epoch[]>;
  /** All items of an epoch: what refers to others before these. */
  items(epoch: Epoch): AsyncIterable<Discardable>;
  /** Where an item lies in the trash, the oldest first. */
  copies(item: Discardable): AsyncIterable<StoragePath>;
  /** Whether somebody missed an item since then, that is still in the trash: it could not be brought back. */
  isWanted(epoch: Epoch, item: Discardable, since: Date): Promise<boolean>;
  /**
   * Removes an item for good whose time in the trash is over, unless somebody wants it.
   * @returns its size in bytes; undefined if somebody took it back, or missed it since then
   */
  expire(epoch: Epoch, item: Discardable, since: Date): Promise<number | undefined>;
}

/** How often something is removed that comes back each time: somebody would have to miss it just then, each time. */
const removals = 20;

/**
 * @param rules what a manifest must have, to come back at all; without them it comes back with what there is
 */
export function createTrash(driver: StorageDriver, rules?: ReferenceRules): Trash {
  async function epochs(): Promise<Epoch[]> {
    const names = await driver.list(paths.trash);
    return names.filter(isEpoch);
  }

  /** One look through some epochs, the newest first, and then in its place. */
  async function restoreFrom(
    item: Discardable,
    newestFirst: readonly Epoch[],
    to: RestoreTo,
  ): Promise<StoragePath | undefined> {
    const place = placeOf(item);
    for (const epoch of newestFirst) {
      const from = trashPath(epoch, item);
      if ((await ifPresent(driver.stat(from))) === undefined) continue;
      // What came into its place since is newer, and right: this may be what it was pushed again for.
      if ((await ifPresent(driver.stat(place))) !== undefined) return place;
      try {
        if (item.kind === 'manifest' && !(await restoreReferences(item.repository, from))) continue;
        // Young again, so that the next collection leaves it to whoever relies on it now.
        await driver.touch?.(from);
        await driver.move(from, place, { replace: false });
        return place;
      } catch (error) {
        const code = error instanceof StorageError ? error.code : undefined;
        if (code === 'not-found') continue;
        if (code === 'exists') return place;
        // A full disk, or a tree that is another core's, keeps nobody from what is there.
        if (to !== 'anywhere' && code !== 'read-only') throw error;
        // Whoever is sent it from there asks for its parts next: nothing of it is removed meanwhile.
        await driver.touch?.(from).catch(() => {});
        return from;
      }
    }
    // Somebody else may have put it back since the caller looked.
    return (await ifPresent(driver.stat(place))) === undefined ? undefined : place;
  }

  /** Those who miss the same thing at the same time bring it back once. */
  const restoring = new Map<string, Promise<StoragePath | undefined>>();

  async function restoreOnce(
    item: Discardable,
    to: RestoreTo = 'its place',
  ): Promise<StoragePath | undefined> {
    const key = `${to} ${keyOf(item)}`;
    const running = restoring.get(key);
    if (running !== undefined) return await running;
    const restored = restoreFromEpochs(item, to).finally(() => restoring.delete(key));
    restoring.set(key, restored);
    return await restored;
  }

  async function restoreFromEpochs(
    item: Discardable,
    to: RestoreTo,
  ): Promise<StoragePath | undefined> {
    // Between a look into the trash and one in its place it can be put back by somebody else and taken
    // away once more, so that neither sees it.
    for (let attempt = 1; attempt <= maxLooks; attempt += 1) {
      const newestFirst = (await epochs()).reverse();
      const found = await restoreFrom(item, newestFirst, to);
      if (found !== undefined || newestFirst.length === 0) return found;
    }
    return undefined;
  }

  /**
   * Brings back what a manifest in the trash refers to.
   * @returns false if something is gone that it must have
   */
  async function restoreReferences(
    repository: RepositoryName,
    link: StoragePath,
  ): Promise<boolean> {
    const target = await readLink(driver, link);
    const found = target === undefined ? undefined : await findBytes(driver, trash, target);
    const bytes = found === undefined ? undefined : await ifPresent(readAll(driver, found.path));
    if (bytes === undefined) return rules === undefined;
    const manifest = parseStoredManifest(bytes);
    // Of one in a form that we do not know nobody can say what it needs.
    if (manifest === undefined) return true;
    for (const { kind, digest, required } of referencesOf(manifest, rules ?? nothingRequired)) {
      const part = { kind: kind === 'blob' ? 'layer' : kind, repository, digest } as const;
      const of = await readLinkOrRestore(driver, trash, part);
      const there = of !== undefined && (await findBytes(driver, trash, of)) !== undefined;
      if (!there && required) return false;
    }
    return true;
  }

  const trash: Trash = {
    epochs,

    async holds(item) {
      for (let attempt = 1; attempt <= maxLooks; attempt += 1) {
        for (const epoch of await epochs()) {
          if ((await ifPresent(driver.stat(trashPath(epoch, item)))) !== undefined) return true;
        }
        if ((await ifPresent(driver.stat(placeOf(item)))) !== undefined) return true;
      }
      return false;
    },

    async discard(epoch, item) {
      try {
        await driver.move(placeOf(item), trashPath(epoch, item));
        return true;
      } catch (error) {
        if (error instanceof StorageError && error.code === 'not-found') return false;
        throw error;
      }
    },

    restore: restoreOnce,

    async deleteEverywhere(item, step, folder = placeOf(item)) {
      for (let attempt = 1; attempt <= removals; attempt += 1) {
        await driver.remove(folder, step);
        for (const epoch of await epochs()) {
          const path = trashPath(epoch, item);
          if ((await ifPresent(driver.stat(path))) !== undefined) await driver.remove(path, step);
        }
        if (!(await trash.holds(item))) return;
      }
      throw new StorageError('failed', folder);
    },

    async *copies(item) {
      for (const epoch of await epochs()) {
        const path = trashPath(epoch, item);
        if ((await ifPresent(driver.stat(path))) !== undefined) yield path;
      }
    },

    async *items(epoch) {
      for (const kind of ['manifest', 'layer'] as const) yield* linksIn(driver, epoch, '', kind);
      for await (const digest of digestsIn(driver, paths.trashedBlobs(epoch))) {
        yield { kind: 'blob', digest };
      }
    },

    async isWanted(epoch, item, since) {
      const info = await ifPresent(driver.stat(trashPath(epoch, item)));
      return info !== undefined && info.modified >= since;
    },

    async expire(epoch, item, since) {
      const path = trashPath(epoch, item);
      const info = await ifPresent(driver.stat(path));
      // What is brought here keeps its time; who misses it makes it young, before it is brought back.
      if (info === undefined || info.modified >= since) return undefined;
      await driver.remove(path);
      return info.size;
    },
  };
  return trash;
}

const nothingRequired: ReferenceRules = { blobs: false, children: 'none' };

async function* linksIn(
  driver: StorageDriver,
  epoch: Epoch,
  folder: string,
  kind: 'layer' | 'manifest',
): AsyncGenerator<Discardable> {
  for (const name of await driver.list(paths.trashedNamespace(epoch, folder))) {
    if (!name.startsWith('_')) {
      yield* linksIn(driver, epoch, folder === '' ? name : `${folder}/${name}`, kind);
    } else if (name === trashedLinkFolders[kind] && isRepositoryName(folder)) {
      const links = paths.trashedLinks(epoch, folder, kind);
      for await (const digest of digestsIn(driver, links)) {
        yield { kind, repository: folder, digest };
      }
    }
  }
}
