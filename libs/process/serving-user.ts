import { chown, lchown, lstat, mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Settings, UserIds } from '#libs/config/settings.ts';
import type { Logger } from '#libs/log/logger.ts';

/** Who serves a tree that nobody wrote yet: "nonroot" of many base images. */
const nobodyYet: UserIds = { uid: 65_532, gid: 65_532 };

/** The folder that a registry, ours or the original, makes below its root directory. */
const treeFolder = 'docker/registry/v2';

type Wanted = Pick<Settings, 'user' | 'storage' | 'sockets'>;

/**
 * Whom this process is to serve as, having been started as root: `portcullis.user` (docs/adr/0009). Hands
 * over the folders which that user needs: an empty root directory, and the one of our sockets.
 * @param warn told why it stays root, if it does
 * @returns undefined if it stays as it is: not root, not asked for, not possible, or the tree is root's
 */
export async function chooseServingUser(
  { user, storage, sockets }: Wanted,
  warn: (message: string) => void,
): Promise<UserIds | undefined> {
  if (user === undefined || process.getuid?.() !== 0) return undefined;
  try {
    const root = storage.driver === 'filesystem' ? storage.root : undefined;
    const ids = user === 'owner' ? await ownerFor(root, warn) : user;
    if (ids !== undefined) await handOver(sockets.folder, ids);
    return ids;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== 'EPERM') throw error;
    warn(`portcullis.user: owners may not be changed here (${message}); serving as root`);
    return undefined;
  }
}

/**
 * Serves as the configured user from now on, for good. To be called when everything is open that only root
 * may open. Under a supervisor, which says the same once for all, it is silent.
 * @param ours what we made in a folder, which the user gets
 */
export async function serveAsUser(
  settings: Wanted,
  log: Logger,
  ours?: { folder: string; names: readonly string[] },
): Promise<void> {
  const supervised = process.send !== undefined;
  const warn = (message: string) => log[supervised ? 'debug' : 'warn'](message);
  const ids = await chooseServingUser(settings, warn);
  if (ids === undefined) return;
  if (ours !== undefined) await giveOurFiles(ours.folder, ours.names, ids);
  try {
    becomeUser(ids);
    log[supervised ? 'debug' : 'info'](`serving as ${ids.uid}:${ids.gid}`);
  } catch (error) {
    const { message } = error as Error;
    log.warn(`portcullis.user: cannot become ${ids.uid}:${ids.gid} (${message}); serving as root`);
  }
}

/** @throws Error if the system does not let us */
export function becomeUser({ uid, gid }: UserIds): void {
  process.setgroups?.([gid]);
  process.setgid?.(gid);
  process.setuid?.(uid);
}

/** Owner of a storage tree; undefined where nobody wrote any. */
export async function ownerOfTree(root: string): Promise<UserIds | undefined> {
  return await stat(join(root, treeFolder)).catch(() => undefined);
}

async function ownerFor(
  root: string | undefined,
  warn: (message: string) => void,
): Promise<UserIds | undefined> {
  if (root === undefined) return nobodyYet;
  const written = await ownerOfTree(root);
  if (written === undefined) await mkdir(root, { recursive: true });
  const { uid, gid } = written ?? (await stat(root));
  if (uid !== 0) return { uid, gid };
  const names = await readdir(root);
  if (names.every((name) => name === 'lost+found')) {
    await chown(root, nobodyYet.uid, nobodyYet.gid);
    return nobodyYet;
  }
  warn(
    `${root} belongs to root, so it is served as root; to serve it as another user: chown -R ${nobodyYet.uid}:${nobodyYet.gid} ${root}`,
  );
  return undefined;
}

/** A folder that only our user may enter becomes the other's, who was ours or root. */
async function handOver(folder: string, { uid, gid }: UserIds): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const found = await lstat(folder);
  if (!found.isDirectory() || (found.uid !== 0 && found.uid !== uid)) {
    throw new Error(
      `${folder} belongs to another user; remove it, or set portcullis.sockets to a folder of your own`,
    );
  }
  await chown(folder, uid, gid);
}

/**
 * Gives what we made in a folder to the user: the folder itself if it was root's alone, and these files of
 * root's in it. What cannot be given (a read-only mount) stays, and was read already.
 */
async function giveOurFiles(
  folder: string,
  names: readonly string[],
  { uid, gid }: UserIds,
): Promise<void> {
  const isPrivate = async (path: string) => {
    const found = await lstat(path).catch(() => undefined);
    return found !== undefined && found.uid === 0 && (found.mode & 0o077) === 0;
  };
  for (const path of [folder, ...names.map((name) => join(folder, name))]) {
    if (await isPrivate(path)) await lchown(path, uid, gid).catch(() => {});
  }
}
