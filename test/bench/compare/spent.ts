import { readFile } from 'node:fs/promises';
import type { Contender } from './contenders.ts';

/** Processor seconds of all processes of a server so far; the kernel counts in hundredths. */
export async function secondsOf(contender: Contender): Promise<number> {
  let sum = 0;
  for (const pid of await contender.pids()) {
    const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
    const fields = status.slice(status.lastIndexOf(')') + 2).split(' ');
    sum += (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / 100;
  }
  return sum;
}

/** MiB of memory of all processes of a server, what they share counted once (PSS). */
export async function memoryOf(contender: Contender): Promise<number> {
  let sum = 0;
  for (const pid of await contender.pids()) {
    const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '');
    sum += Number(/^Pss:\s+(\d+)/m.exec(text)?.[1] ?? 0) / 1024;
  }
  return sum;
}
