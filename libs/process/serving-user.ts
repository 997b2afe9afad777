import { constants } from 'node:fs';
import {
  chown,
  type FileHandle,
  lchown,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  rm,
  stat,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
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
    if (!(await mayChangeUsers()))
      throw new Error('CAP_CHOWN, CAP_SETUID or CAP_SETGID is missing');
    const ids = user === 'owner' ? await ownerFor(root, warn) : user;
    if (ids !== undefined) await handOver(sockets.folder, ids);
    return ids;
  } catch (error) {
    const { message } = error as Error;
    if (error instanceof ForeignFolderError) throw error;
    warn(`portcullis.user: owners and users cannot be changed here (${message}); serving as root`);
    return undefined;
  }
}

/** Somebody who is neither root nor the one who serves has made a folder of ours. */
class ForeignFolderError extends Error {}

/** Whether all three capabilities are there: with some of them things would be half done. */
async function mayChangeUsers(): Promise<boolean> {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '');
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  if (effective === undefined) return true;
  const [chownBit, setgidBit, setuidBit] = [0n, 6n, 7n];
  const needed = (1n << chownBit) | (1n << setgidBit) | (1n << setuidBit);
  return (BigInt(`0x${effective}`) & needed) === needed;
}

/** What the user gets besides, where it is root's. */
interface HandedOver {
  /** A folder of ours, and the names of what we make in it; made if it is not there. */
  state?: { folder: string; names: readonly string[] };
  /** A file that is written to at its end; made if it is not there. */
  file?: string | undefined;
}

/**
 * Serves as the configured user from now on, for good. To be called when everything is open that only root
 * may open, and before anything is touched that belongs to the user: root follows no link that the user may have
 * laid. Under a supervisor, which says the same once for all, it is silent.
 */
export async function serveAsUser(
  settings: Wanted,
  log: Logger,
  { state, file }: HandedOver = {},
): Promise<void> {
  const supervised = process.send !== undefined;
  const warn = (message: string) => log[supervised ? 'debug' : 'warn'](message);
  const ids = await chooseServingUser(settings, warn);
  if (ids === undefined) return;
  if (state !== undefined) await giveState(state.folder, state.names, ids);
  if (file !== undefined) await giveFile(file, ids);
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
  try {
    return await stat(join(root, treeFolder));
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

async function ownerFor(
  root: string | undefined,
  warn: (message: string) => void,
): Promise<UserIds | undefined> {
  if (root === undefined) return nobodyYet;
  const written = await ownerOfTree(root);
  if (written === undefined) await mkdir(root, { recursive: true });
  const { uid, gid } = written ?? (await stat(root));
  if (uid !== 0) {
    const stranger = written === undefined ? undefined : await findStranger(root, uid);
    if (stranger === undefined) return { uid, gid };
    warn(
      `${stranger} does not belong to ${uid}, who has the tree, so it is served as root; to serve it as that user: chown -R ${uid}:${gid} ${root}`,
    );
    return undefined;
  }
  const names = await readdir(root);
  if (names.every((name) => name === 'lost+found')) {
    await chown(root, nobodyYet.uid, nobodyYet.gid);
    // Some filesystems say yes and do nothing.
    if ((await stat(root)).uid === nobodyYet.uid) return nobodyYet;
    throw new Error(`${root} keeps its owner`);
  }
  warn(
    `${root} belongs to root, so it is served as root; to serve it as another user: chown -R ${nobodyYet.uid}:${nobodyYet.gid} ${root}`,
  );
  return undefined;
}

/** So many folders of a tree are looked at. */
const mostLooked = 500;

/** A folder at the top of the tree that is another user's, as after a time with the original as root. */
async function findStranger(root: string, uid: number): Promise<string | undefined> {
  for (const name of ['repositories', 'blobs/sha256', '_portcullis']) {
    const folder = join(root, treeFolder, name);
    const names = await readdir(folder).catch(() => []);
    for (const path of [folder, ...names.slice(0, mostLooked).map((one) => join(folder, one))]) {
      const found = await lstat(path).catch(() => undefined);
      if (found !== undefined && found.uid !== uid) return path;
    }
  }
  return undefined;
}

/** Whether the name is one that we made up, so that nothing of anybody's is in it. */
function isDerived(folder: string): boolean {
  return (
    [tmpdir(), '/dev/shm'].includes(dirname(folder)) && /^portcullis-\d+-/.test(basename(folder))
  );
}

/** A folder that only our user may enter becomes the other's. */
async function handOver(folder: string, { uid, gid }: UserIds): Promise<void> {
  const before = await lstat(folder).catch(() => undefined);
  if (before !== undefined && before.uid !== 0 && before.uid !== uid && isDerived(folder)) {
    // What a crash left for somebody who served before; it is made anew, by us alone.
    await rm(folder, { recursive: true });
  }
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const handle = await openFolder(folder);
  try {
    const found = await handle?.stat();
    if (handle === undefined || found === undefined || (found.uid !== 0 && found.uid !== uid)) {
      throw new ForeignFolderError(
        `${folder} belongs to another user; remove it, or set portcullis.sockets to a folder of your own`,
      );
    }
    if (found.uid === 0) await handle.chown(uid, gid);
  } finally {
    await handle?.close();
  }
}

/**
 * Gives a folder of ours to the user, if it is root's and holds nothing but what we make: what is in a folder of
 * root's only root has put there. One that is the user's already is left alone.
 */
async function giveState(
  folder: string,
  names: readonly string[],
  { uid, gid }: UserIds,
): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch(() => {});
  const handle = await openFolder(folder);
  try {
    if (handle === undefined || (await handle.stat()).uid !== 0) return;
    const strangers = (await readdir(folder)).filter((name) => !names.includes(name));
    if (strangers.length > 0) return;
    for (const name of names) await giveTree(join(folder, name), { uid, gid });
    await handle.chown(uid, gid);
  } catch {
    // A read-only mount: it is read as it is.
  } finally {
    await handle?.close();
  }
}

/** A file, or a folder with the files in it. */
async function giveTree(path: string, { uid, gid }: UserIds): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined || found.uid !== 0 || found.isSymbolicLink()) return;
  if (found.isDirectory()) {
    for (const name of await readdir(path)) await lchown(join(path, name), uid, gid);
  }
  await lchown(path, uid, gid);
}

async function giveFile(path: string, { uid, gid }: UserIds): Promise<void> {
  const { O_CREAT, O_NOFOLLOW, O_WRONLY, O_APPEND } = constants;
  const handle = await open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0o640).catch(
    () => undefined,
  );
  try {
    const found = await handle?.stat();
    if (found?.isFile() && found.uid === 0 && found.nlink === 1) await handle?.chown(uid, gid);
  } finally {
    await handle?.close();
  }
}

/** @returns undefined for what is no folder, or a link to one */
async function openFolder(path: string): Promise<FileHandle | undefined> {
  const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW } = constants;
  return await open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW).catch(() => undefined);
}

/** Root does what it does in somebody's folder as that somebody: no link of theirs leads it anywhere. */
export async function becomeOwnerOf(folder: string): Promise<void> {
  if (process.getuid?.() !== 0) return;
  const owner = await stat(folder).catch(() => undefined);
  if (owner !== undefined && owner.uid !== 0) becomeUser(owner);
}
