import type { Stats } from 'node:fs';
import { lstat, readlink } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';

/** Symbolic links followed on a way, as the kernel does. */
const maxLinks = 40;

/** Write permission of a group and of everybody, and the bit that lets only owners take things out of a folder. */
const bits = { group: 0o020, all: 0o002, sticky: 0o1000 } as const;

/** A folder, file or symbolic link that is on the way to a path. */
export interface PathStep {
  place: string;
  stats: Stats;
}

export interface Walked {
  /** What is there of it, from the root on: links, and what they lead to. */
  steps: PathStep[];
  /** Where it leads, without links; what is not there yet is added as it was named. Undefined where that is not known. */
  end: string | undefined;
}

/** Walks to a path as the kernel does, and tells what it passes: whoever owns one of these decides where the path leads. */
export async function walkTo(path: string): Promise<Walked> {
  const steps: PathStep[] = [];
  // Not made shorter before: behind a link, `..` is above what it leads to.
  let parts = namesIn(isAbsolute(path) ? path : `${process.cwd()}/${path}`);
  let folder = '/';
  for (let links = 0; links <= maxLinks; ) {
    const [name, ...rest] = parts;
    if (name === undefined) return { steps, end: folder };
    const place = join(folder, name);
    let stats: Stats;
    try {
      stats = await lstat(place);
    } catch (error) {
      const isAbsent = (error as NodeJS.ErrnoException).code === 'ENOENT';
      return { steps, end: isAbsent ? join(place, ...rest) : undefined };
    }
    steps.push({ place, stats });
    if (stats.isSymbolicLink()) {
      links += 1;
      const target = await readlink(place);
      if (target.startsWith('/')) folder = '/';
      parts = [...namesIn(target), ...rest];
    } else {
      folder = place;
      parts = rest;
    }
  }
  return { steps, end: undefined };
}

const namesIn = (path: string) => path.split('/').filter((name) => name !== '' && name !== '.');

/** Whether everybody may write to it. */
export function isWritableByAll({ mode }: Pick<Stats, 'mode'>): boolean {
  return (mode & bits.all) !== 0;
}

/** Whether its group may. */
export function isWritableByGroup({ mode }: Pick<Stats, 'mode'>): boolean {
  return (mode & bits.group) !== 0;
}

/** Whether nobody can take away or exchange what others put into a folder, however many may write to it; as in /tmp. */
export function isSticky({ mode }: Pick<Stats, 'mode'>): boolean {
  return (mode & bits.sticky) !== 0;
}
