import { readFile, readlink } from 'node:fs/promises';

/**
 * Names a process so that it is never mistaken for another: boot, process namespace, number, and start time, between
 * blanks. Empty where the system does not tell, and for a process that has ended.
 */
export async function describeProcess(pid: number): Promise<string> {
  try {
    const [boot, namespace, stat] = await Promise.all([
      readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
      readlink('/proc/self/ns/pid'),
      readFile(`/proc/${pid}/stat`, 'utf8'),
    ]);
    // The name in parentheses may hold spaces; start time is the 20th field after it.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return '';
    return [boot.trim(), namespace, pid, fields[19]].join(' ');
  } catch {
    return '';
  }
}

/** How a process stands to this one, as its description tells. */
export type ProcessState = 'ended' | 'earlier or other boot' | 'this boot' | 'unknown';

/** @param description what {@link describeProcess} made of it while it ran */
export async function locateProcess(description: string): Promise<ProcessState> {
  const [boot, namespace, pid] = description.split(' ');
  const [ownBoot, ownNamespace] = (await describeProcess(process.pid)).split(' ');
  if (pid === undefined || ownNamespace === undefined) return 'unknown';
  if (boot !== ownBoot) return 'earlier or other boot';
  if (namespace !== ownNamespace) return 'this boot';
  return (await describeProcess(Number(pid))) === description ? 'this boot' : 'ended';
}
