import { chmod, lstat, mkdir } from 'node:fs/promises';

/**
 * Makes sure a folder exists that only our user can enter: who can reach a socket in it is us.
 * @throws Error with one clear sentence if somebody else made it
 */
export async function ensurePrivateFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 });
  const found = await lstat(path);
  const uid = process.getuid?.();
  if (!found.isDirectory() || (uid !== undefined && found.uid !== uid)) {
    throw new Error(
      `${path} belongs to another user; remove it, or set portcullis.sockets to a folder of your own`,
    );
  }
  if ((found.mode & 0o077) !== 0) await chmod(path, 0o700);
}
