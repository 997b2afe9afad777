import { readFile } from 'node:fs/promises';

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EISDIR: 'is a folder; name the file in it',
  EACCES: 'this user may not read it',
};

/** The text of a file that somebody named. @throws Error with one clear sentence, and the system's error as its cause */
export async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const { code = '', message } = cause as NodeJS.ErrnoException;
    throw new Error(`${path}: ${reasons[code] ?? message}`, { cause });
  }
}
