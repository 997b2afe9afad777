import { link, rename, stat, unlink } from 'node:fs/promises';

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
