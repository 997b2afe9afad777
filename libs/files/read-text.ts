import { constants, type Stats } from 'node:fs';
import { type FileHandle, open, readFile } from 'node:fs/promises';

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EISDIR: 'it is a folder; name the file in it',
  EACCES: 'this user may not read it',
  ENOTFILE: 'it is not a file',
  EFBIG: 'it is larger than 64 MiB',
};

/** Why a file could not be read, in a few words. @param error as the system says it */
export function describeUnreadable(error: unknown): string {
  const { code = '', message } = error as NodeJS.ErrnoException;
  return reasons[code] ?? message;
}

/** Bytes of a file that is read whole; what is larger is none of those that we know. */
const largest = 64 * 1024 * 1024;

/**
 * Reads a file that somebody named. A pipe would have us wait, and a device has no end.
 * @throws ErrnoException
 */
export async function readRegularFile(path: string): Promise<Buffer> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    await assertRegular(handle, path);
    return await handle.readFile();
  } finally {
    await handle.close();
  }
}

/**
 * @param handle of what was opened with O_NONBLOCK
 * @returns what there is of it
 * @throws ErrnoException for what is not a file, or too large
 */
export async function assertRegular(handle: FileHandle, path: string): Promise<Stats> {
  const found = await handle.stat();
  if (found.isFile() && found.size <= largest) return found;
  const code = found.isFile() ? 'EFBIG' : found.isDirectory() ? 'EISDIR' : 'ENOTFILE';
  throw Object.assign(new Error(`${path}: ${reasons[code]}`), { code });
}

/**
 * The text of a file that somebody named.
 * @param setting where they named it, for the error
 * @throws Error with one clear sentence, and the system's error as its cause
 */
export async function readText(path: string, setting?: string): Promise<string> {
  return (await readBytes(path, setting)).toString('utf8');
}

/** The bytes of such a file. @throws as `readText` */
export async function readBytes(path: string, setting?: string): Promise<Buffer> {
  return await readBy(readRegularFile, path, setting);
}

/** The text of such a file, or of a pipe, which a shell gives as `<(…)`. @throws as `readText` */
export async function readTextOrPipe(path: string): Promise<string> {
  return (await readBy((one) => readFile(one), path)).toString('utf8');
}

async function readBy(
  read: (path: string) => Promise<Buffer>,
  path: string,
  setting?: string,
): Promise<Buffer> {
  try {
    return await read(path);
  } catch (cause) {
    const where = setting === undefined ? path : `${setting}: ${path}`;
    throw new Error(`${where}: ${describeUnreadable(cause)}`, { cause });
  }
}

/** The text of a file; undefined if there is none. */
export async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return (await readRegularFile(path)).toString('utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
