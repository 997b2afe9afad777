import { lstat, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { SocketPaths } from '#libs/config/sections/socket-paths.ts';
import type { StorageSettings } from '#libs/config/sections/storage.ts';
import type { UserIds, UserSetting } from '#libs/config/sections/user.ts';
import { makeFolders } from '../files/make-folders.ts';
import { treeFolder } from '../values/storage-tree.ts';
import { linkerTo } from './controlling-user.ts';
import { chownFolder, openFolder } from './hand-over.ts';
import { FolderOwnerError } from './socket-folder.ts';

/** Who serves a new tree: "nonroot" of many base images. */
const defaultUser: UserIds = { uid: 65_532, gid: 65_532 };

/** What decides about the user who serves. */
export interface UserChoice {
  user: UserSetting;
  storage: StorageSettings['storage'];
  sockets: SocketPaths;
}

/**
 * Whom this process is to serve as, having been started as root: `portcullis.user` (docs/adr/0009). Hands
 * over the folders which that user needs: an empty root directory, and the one of our sockets.
 * @param warn told why it stays root, if it does
 * @returns undefined if it stays as it is: not root, not asked for, not possible, or the tree is root's
 */
export async function chooseUser(
  { user, storage, sockets }: UserChoice,
  warn: (message: string) => void,
): Promise<UserIds | undefined> {
  if (user === undefined || process.getuid?.() !== 0) return undefined;
  try {
    const root = storage.driver === 'filesystem' ? storage.root : undefined;
    if (!(await mayChangeUsers()))
      throw new Error('CAP_CHOWN, CAP_SETUID or CAP_SETGID is missing');
    const ids = user === 'owner' ? await ownerFor(root, warn) : user;
    if (ids !== undefined) await chownFolder(sockets.folder, ids);
    return ids;
  } catch (error) {
    const { message } = error as Error;
    if (error instanceof FolderOwnerError || error instanceof TreeLinkError) throw error;
    warn(`portcullis.user: owners and users cannot be changed here (${message}); serving as root`);
    return undefined;
  }
}

/** The storage is somebody's link to what is not theirs: as root it would be served with rights that they do not have. */
class TreeLinkError extends Error {
  constructor(root: string, { uid }: UserIds, other: string) {
    super(
      `storage.filesystem.rootdirectory: ${root} is reached by a link of user ${uid}, and ${other} is not theirs; name the folder itself, or give both to one user (chown -h)`,
    );
  }
}

/** Whether all three capabilities are there: with some of them things would be half done. */
async function mayChangeUsers(): Promise<boolean> {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '');
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  if (effective === undefined) return true;
  const [chownBit, setgidBit, setuidBit] = [0n, 6n, 7n];
  const needed = (1n << chownBit) | (1n << setgidBit) | (1n << setuidBit);
  return (BigInt(`0x${effective}`) & needed) === needed;
}

/** Owner of a storage tree, or of a link on the way to it: what that leads to may be anybody's. Undefined where nobody wrote any. */
export async function ownerOfTree(root: string): Promise<UserIds | undefined> {
  const tree = join(root, treeFolder);
  try {
    const { uid, gid } = await stat(tree);
    return (await linkerTo(tree)) ?? { uid, gid };
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** Another user whom root will serve as. */
export interface ExpectedUser extends UserIds {
  /** The root directory is made, or given to them, at the start. */
  getsRoot: boolean;
}

/**
 * Whom `chooseUser` would choose as things are; changes nothing.
 * @returns undefined where this process would stay as it is, or nobody can tell
 */
export async function expectUser({
  user,
  storage,
}: Pick<UserChoice, 'user' | 'storage'>): Promise<ExpectedUser | undefined> {
  if (user === undefined || process.getuid?.() !== 0 || !(await mayChangeUsers())) return undefined;
  if (user !== 'owner') return { ...user, getsRoot: false };
  const root = storage.driver === 'filesystem' ? storage.root : undefined;
  const nobody: OwnerVerdict = { ids: undefined };
  const { ids, getsRoot = false } = await judgeOwner(root).catch(() => nobody);
  return ids === undefined ? undefined : { ...ids, getsRoot };
}

/** Chooses the owner, and makes the root directory or gives it to them where they need it. */
async function ownerFor(
  root: string | undefined,
  warn: (message: string) => void,
): Promise<UserIds | undefined> {
  if (root !== undefined && (await ownerOfTree(root)) === undefined) await makeEnterable(root);
  const { ids, getsRoot, warning } = await judgeOwner(root);
  if (warning !== undefined) warn(warning);
  if (root !== undefined && ids !== undefined && getsRoot === true) await giveFolder(root, ids);
  return ids;
}

/** Makes a folder that another user is to get, who can enter those on the way that are made with it. */
async function makeEnterable(folder: string): Promise<void> {
  const before = process.umask(0o022);
  try {
    await makeFolders(folder);
  } finally {
    process.umask(before);
  }
}

interface OwnerVerdict extends Partial<Pick<ExpectedUser, 'getsRoot'>> {
  /** Undefined: as root. */
  ids: UserIds | undefined;
  warning?: string;
}

/** What `owner` means for a root directory as it is now, or where there is none. @throws TreeLinkError */
async function judgeOwner(root: string | undefined): Promise<OwnerVerdict> {
  if (root === undefined) return { ids: defaultUser };
  const linker = await linkerTo(join(root, treeFolder));
  const written = await ownerOfTree(root);
  const { uid, gid } = written ?? linker ?? (await ownerOfFolder(root));
  if (uid !== 0) {
    const other = written === undefined ? undefined : await findOtherOwner(root, uid);
    if (other === undefined) return { ids: { uid, gid } };
    if (!other.isRoots) {
      const warning = `${other.path} belongs neither to ${uid}, who has the tree, nor to root; it may not be writable`;
      return { ids: { uid, gid }, warning };
    }
    if (linker !== undefined) throw new TreeLinkError(root, linker, other.path);
    const warning = `${other.path} belongs to root, not to ${uid}, who has the tree, so it is served as root; to serve it as that user: chown -R ${uid}:${gid} ${root}`;
    return { ids: undefined, warning };
  }
  const names = await readdir(root).catch(emptyIfAbsent);
  if (names.every((name) => name === 'lost+found')) return { ids: defaultUser, getsRoot: true };
  const warning = `${root} belongs to root, so it is served as root; to serve it as another user: chown -R ${defaultUser.uid}:${defaultUser.gid} ${root}`;
  return { ids: undefined, warning };
}

/** Root, which will make it, where it is not there. */
async function ownerOfFolder(path: string): Promise<UserIds> {
  try {
    return await stat(path);
  } catch (error) {
    emptyIfAbsent(error as NodeJS.ErrnoException);
    return { uid: 0, gid: 0 };
  }
}

function emptyIfAbsent(error: NodeJS.ErrnoException): string[] {
  if (error.code !== 'ENOENT') throw error;
  return [];
}

async function giveFolder(root: string, { uid, gid }: UserIds): Promise<void> {
  const handle = await openFolder(root);
  try {
    await handle?.chown(uid, gid);
  } finally {
    await handle?.close();
  }
  // Some filesystems say yes and do nothing.
  if ((await stat(root)).uid !== uid) {
    throw new Error(`${root} could not be given to another user`);
  }
}

/** So many folders of a tree are looked at. */
const maxFolders = 500;

/**
 * A folder at the top of the tree that does not belong to whoever has the tree: one of root's, as after a time with the
 * original as root, before any other one.
 */
async function findOtherOwner(
  root: string,
  uid: number,
): Promise<{ path: string; isRoots: boolean } | undefined> {
  let another: string | undefined;
  for (const name of ['repositories', 'blobs/sha256', '_portcullis']) {
    const folder = join(root, treeFolder, name);
    // What the owner of the tree has lead elsewhere says nothing about the tree.
    const itself = await lstat(folder).catch(() => undefined);
    if (itself?.isSymbolicLink() === true && itself.uid !== 0) continue;
    const names = await readdir(folder).catch(() => []);
    for (const path of [folder, ...names.slice(0, maxFolders).map((one) => join(folder, one))]) {
      const found = await lstat(path).catch(() => undefined);
      // Files and sockets of others can be moved to here by whoever has the folder they are in.
      if (found?.isDirectory() !== true || found.uid === uid) continue;
      if (found.uid === 0) return { path, isRoots: true };
      another ??= path;
    }
  }
  return another === undefined ? undefined : { path: another, isRoots: false };
}
