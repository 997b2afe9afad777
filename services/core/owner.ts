import { randomUUID } from 'node:crypto';
import { readFile, readlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '#libs/log/logger.ts';
import { paths } from './registry/paths.ts';
import { readAll } from './registry/small-files.ts';
import { ifPresent, type StorageDriver } from './storage/driver.ts';

/** Milliseconds. */
export interface OwnerTimes {
  /** Between two beats of a living owner. */
  beat: number;
  /** A counter that stands still for this long belongs to a dead owner. */
  stillFor: number;
  /** How long a starting core waits for a living owner to go. */
  waitFor: number;
}

const defaultTimes: OwnerTimes = { beat: 5000, stillFor: 15_000, waitFor: 60_000 };

/** Which process owns the tree; the counter shows that it lives. */
interface OwnerRecord {
  id: string;
  counter: number;
  host: string;
  /** Tells on the same machine whether the owner's process is still there. */
  process: string;
}

export interface Ownership {
  /** Gives the tree back, so that the next core need not wait. */
  release(): Promise<void>;
}

export interface OwnerOptions {
  driver: StorageDriver;
  log: Logger;
  /** Called once when another core has taken the tree: stop accepting writes. */
  onLost: (reason: string) => void;
  /** Owned together with all cores that agree in Redis; a core without it is kept out. */
  shared?: boolean;
  times?: OwnerTimes;
}

/** The owner of a tree that several cores share. */
const sharedId = 'redis';

/**
 * Makes this core the only one that writes to the tree. Two cores without shared coordination would
 * damage each other's uploads; there are no file locks to rely on, so the owner writes a counter.
 * @throws Error naming the other host, and `redis`, if a living core owns the tree
 */
export async function takeOwnership({
  driver,
  log,
  onLost,
  shared = false,
  times = defaultTimes,
}: OwnerOptions): Promise<Ownership> {
  await waitForTurn(driver, log, times, shared);
  const mine: OwnerRecord = {
    id: shared ? sharedId : randomUUID(),
    counter: 0,
    host: hostname(),
    // One of several that goes does not leave the tree to whoever comes.
    process: shared ? '' : await describeProcess(process.pid),
  };
  await write(driver, mine);

  let busy: Promise<void> = Promise.resolve();
  let lost = false;
  const beat = async () => {
    const current = await read(driver);
    if (current !== undefined && current.id !== mine.id) {
      lost = true;
      clearInterval(timer);
      onLost(`the core on ${current.host} has taken this storage over; this one no longer serves`);
      return;
    }
    mine.counter = Math.max(mine.counter, current?.counter ?? 0) + 1;
    await write(driver, mine);
  };
  const timer = setInterval(() => {
    busy = busy.then(beat).catch((error: unknown) => {
      log.warn({ err: error }, 'the owner file could not be renewed');
    });
  }, times.beat).unref();

  return {
    async release() {
      clearInterval(timer);
      await busy;
      if (lost || shared) return;
      const current = await read(driver);
      if (current?.id === mine.id) await driver.remove(paths.owner);
    },
  };
}

async function waitForTurn(
  driver: StorageDriver,
  log: Logger,
  times: OwnerTimes,
  shared: boolean,
): Promise<void> {
  const started = performance.now();
  let seen = await read(driver);
  let changedAt = started;
  let said = false;
  while (seen !== undefined && !(await isGone(seen))) {
    if (shared && seen.id === sharedId) return;
    if (!said)
      log.info({ host: seen.host }, 'another core owns this storage; waiting for it to go');
    said = true;
    await sleep(Math.min(500, times.beat));
    const current = await read(driver);
    if (current === undefined) return;
    if (current.id !== seen.id || current.counter !== seen.counter) {
      seen = current;
      changedAt = performance.now();
    }
    if (performance.now() - changedAt >= times.stillFor) {
      log.warn({ host: seen.host }, 'the last owner of this storage is dead; taking it over');
      return;
    }
    if (performance.now() - started >= times.waitFor) {
      throw new Error(
        shared
          ? `the core on ${seen.host} is using this storage without redis:; stop it first`
          : `the core on ${seen.host} is using this storage; stop it first, or configure redis: for several cores`,
      );
    }
  }
}

async function read(driver: StorageDriver): Promise<OwnerRecord | undefined> {
  const bytes = await ifPresent(readAll(driver, paths.owner));
  try {
    const record = JSON.parse(bytes?.toString('utf8') ?? '') as Partial<OwnerRecord>;
    const { id, counter, host, process: owner } = record;
    if (typeof id !== 'string' || typeof counter !== 'number') return undefined;
    return { id, counter, host: String(host), process: String(owner) };
  } catch {
    return undefined;
  }
}

async function write(driver: StorageDriver, record: OwnerRecord): Promise<void> {
  await driver.put(paths.owner, Buffer.from(JSON.stringify(record)));
}

/**
 * Names a process so that it is never mistaken for another: boot, process namespace, number, and start
 * time. Empty where the system does not tell.
 */
async function describeProcess(pid: number): Promise<string> {
  try {
    const [boot, namespace, stat] = await Promise.all([
      readFile('/proc/sys/kernel/random/boot_id', 'utf8'),
      readlink('/proc/self/ns/pid'),
      readFile(`/proc/${pid}/stat`, 'utf8'),
    ]);
    // The name in parentheses may hold spaces; start time is the 20th field after it.
    const startTime = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
    return [boot.trim(), namespace, pid, startTime].join(' ');
  } catch {
    return '';
  }
}

/** True if the owner ran on this very system and its process is no more. */
async function isGone({ process: owner }: OwnerRecord): Promise<boolean> {
  const [boot, namespace, pid] = owner.split(' ');
  const own = (await describeProcess(process.pid)).split(' ');
  if (pid === undefined || boot !== own[0] || namespace !== own[1]) return false;
  return (await describeProcess(Number(pid))) !== owner;
}
