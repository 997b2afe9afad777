import { shellWord } from '../values/shell-word.ts';

/** What to do about a folder that this user may not write to, or make, in half a sentence. @param as another user who is meant */
export function howToMakeWritable(
  folder: string,
  { isThere, as }: { isThere: boolean; as?: { uid: number; gid: number } | undefined },
): string {
  const { uid, gid } = as ?? { uid: process.getuid?.(), gid: process.getgid?.() };
  return isThere
    ? `run it as the user whose it is, or make it this one’s: chown -R ${uid}:${gid} ${shellWord(folder)}`
    : `make it, and give it to this user: chown ${uid}:${gid} ${shellWord(folder)}`;
}
