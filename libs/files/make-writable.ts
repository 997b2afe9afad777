/** What to do about a folder that this user may not write to, or make, in half a sentence. */
export function howToMakeWritable(folder: string, { isThere }: { isThere: boolean }): string {
  const us = `${process.getuid?.()}:${process.getgid?.()}`;
  return isThere
    ? `run it as the user whose it is, or make it this one’s: chown -R ${us} ${folder}`
    : `make it, and give it to this user: chown ${us} ${folder}`;
}
