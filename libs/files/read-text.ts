import { readFile } from 'node:fs/promises';

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EISDIR: 'is a folder; name the file in it',
  EACCES: 'this user may not read it',
};

/** Why a file could not be read, in a few words. @param error as the system says it */
export function describeUnreadable(error: unknown): string {
  const { code = '', message } = error as NodeJS.ErrnoException;
  return reasons[code] ?? message;
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
  try {
    return await readFile(path);
  } catch (cause) {
    const where = setting === undefined ? path : `${setting}: ${path}`;
    throw new Error(`${where}: ${describeUnreadable(cause)}`, { cause });
  }
}

/** The text of a file; undefined if there is none. */
export async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
