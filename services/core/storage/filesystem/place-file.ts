import { link, rename, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { KnownFolder } from '#libs/files/known-folder.ts';
import { attempts, makeFolders } from '#libs/files/make-folders.ts';
import { syncFolder } from '#libs/files/sync-folder.ts';
import type { VisibleStep } from '../driver.ts';
import type { DurableDirectories } from './durable-directories.ts';
import { confirmStep } from './errors.ts';
import type { Modes } from './root-folder.ts';

interface PlaceOptions {
  directories: DurableDirectories;
  modes: Modes;
  tree: KnownFolder;
  step?: VisibleStep | undefined;
  how?: typeof renameToNew;
}

/** Renames a synced file to its place, for good. */
export async function placeFile(
  from: string,
  to: string,
  { directories, modes, tree, step, how = rename }: PlaceOptions,
): Promise<void> {
  const parent = dirname(to);
  for (let attempt = 1; ; attempt += 1) {
    try {
      if (attempt === 1) await directories.ensure(parent);
      await confirmStep(step);
      // Kept over a power loss when the file is in it: an empty one may be gone by then again.
      if (attempt > 1) await makeFolders(parent, modes.folder, tree);
      await how(from, to);
      break;
    } catch (error) {
      // The source is gone, and the look at it fails; or somebody removed a directory that we had made.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || attempt === attempts) throw error;
      await stat(from);
      directories.forget(parent);
    }
  }
  const ignoreAbsent = (error: NodeJS.ErrnoException) => {
    // It arrived, and a collection took it and its directory away.
    if (error.code !== 'ENOENT') throw error;
  };
  await directories.ensure(parent).catch(ignoreAbsent);
  await syncFolder(parent).catch(ignoreAbsent);
}

/** As rename, which does nothing between two names of one file: a move that was cut off left both. */
export async function renameOver(from: string, to: string): Promise<void> {
  const target = await statIfPresent(to);
  // Hardly ever: a file of ours has one name.
  const source = target !== undefined && target.nlink > 1 ? await statIfPresent(from) : undefined;
  if (source !== undefined && source.ino === target?.ino && source.dev === target.dev) {
    await unlink(to);
  }
  await rename(from, to);
}

/** What link(2) says where it cannot be, on this filesystem or for a file of somebody else's. */
const cannotLink = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EACCES'];

/** As rename, but replaces nothing. @throws the error EEXIST */
export async function renameToNew(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    if (!cannotLink.includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    // Without links there is a moment between the look and the rename.
    if ((await statIfPresent(to)) !== undefined) {
      throw Object.assign(new Error(`${to} exists`), { code: 'EEXIST' });
    }
    await rename(from, to);
    return;
  }
  await unlink(from).catch((error: NodeJS.ErrnoException) => {
    // Somebody else moved it here, or removed it.
    if (error.code !== 'ENOENT') throw error;
  });
}

const statIfPresent = (path: string) => stat(path).catch(() => undefined);
