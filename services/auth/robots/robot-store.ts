import { timingSafeEqual } from 'node:crypto';
import { stringify } from 'yaml';
import { z } from 'zod';
import { parseYaml } from '#libs/config/parse-yaml.ts';
import { editFile } from '#libs/files/edit-file.ts';
import { readIfPresent } from '#libs/files/read-text.ts';
import { watchFile } from '#libs/files/watch-file.ts';
import type { Logger } from '#libs/log/logger.ts';
import { robotPrefix } from '#libs/values/account.ts';
import { lookEvery, stateFiles } from '../state-files.ts';
import { hashSecret, parseRobots, type Robot } from './robots-file.ts';

/** Milliseconds before the end of a robot from which the log warns of it. */
const warnBefore = 7 * 24 * 60 * 60 * 1000;
/** Milliseconds between two warnings of the same. */
const warnEvery = 24 * 60 * 60 * 1000;
/** Milliseconds between two notes of who was used. */
const noteEvery = 60_000;

/** The robots in force. */
export interface RobotStore {
  /** @param account with the prefix. @returns undefined if the secret is wrong or the robot's time is over */
  verify(account: string, secret: string): Robot | undefined;
  /** The robot of an account, if its time is not over. */
  find(account: string): Robot | undefined;
  all(): ReadonlyMap<string, Robot>;
  /** Reads the file again now. */
  reload(): Promise<void>;
  refresh(): Promise<void>;
  close(): Promise<void>;
}

export interface RobotStoreOptions {
  stateFolder: string;
  log: Logger;
  /** Called after another file was taken. */
  onChange: () => Promise<unknown>;
}

/** @throws Error with one clear sentence if the file cannot be used */
export async function openRobots({
  stateFolder,
  log,
  onChange,
}: RobotStoreOptions): Promise<RobotStore> {
  const path = stateFiles.robots(stateFolder);
  let robots: ReadonlyMap<string, Robot> = new Map();
  const used = new Map<string, Date>();

  async function load(): Promise<void> {
    robots = parseRobots(await readIfPresent(path), path);
    await onChange();
  }

  function warn(): void {
    const now = Date.now();
    for (const { name, expires } of robots.values()) {
      if (expires === undefined || expires.getTime() - now > warnBefore) continue;
      const over = expires.getTime() <= now;
      log.warn(
        { robot: name, expires: expires.toISOString() },
        over
          ? 'a robot has expired; remove it, or replace it with robot create --replace'
          : 'a robot expires soon',
      );
    }
  }

  async function note(): Promise<void> {
    if (used.size === 0) return;
    const seen = new Map(used);
    used.clear();
    await editFile(stateFiles.robotUse(stateFolder), (text) => {
      const before = parseUse(text);
      for (const [name, time] of seen) before.set(name, time);
      return formatUse(before);
    }).catch(() => log.debug('the last use of robots cannot be recorded'));
  }

  await load();
  warn();
  const watch = watchFile(path, load, log, lookEvery);
  const timers = [setInterval(warn, warnEvery).unref(), setInterval(() => void note(), noteEvery)];
  timers[1]?.unref();

  const find = (account: string) => {
    const robot = robots.get(account.slice(robotPrefix.length));
    if (robot === undefined || !account.startsWith(robotPrefix)) return undefined;
    return robot.expires !== undefined && robot.expires.getTime() <= Date.now() ? undefined : robot;
  };

  return {
    all: () => robots,
    find,
    reload: watch.reload,
    refresh: watch.refresh,

    verify(account, secret) {
      const robot = find(account);
      const expected = robot?.hash ?? hashSecret('nobody');
      const equal = timingSafeEqual(Buffer.from(hashSecret(secret)), Buffer.from(expected));
      if (!equal || robot === undefined) return undefined;
      used.set(robot.name, new Date());
      return robot;
    },

    async close() {
      watch.close();
      for (const timer of timers) clearInterval(timer);
      await note();
    },
  };
}

/** When each robot was used last. Never throws: what cannot be read is not known. */
export async function readRobotUse(stateFolder: string): Promise<Map<string, Date>> {
  return parseUse(await readIfPresent(stateFiles.robotUse(stateFolder)).catch(() => undefined));
}

function parseUse(text: string | undefined): Map<string, Date> {
  try {
    const schema = z.record(z.string(), z.coerce.date());
    return new Map(Object.entries(schema.parse(text === undefined ? {} : parseYaml(text))));
  } catch {
    return new Map();
  }
}

function formatUse(use: ReadonlyMap<string, Date>): string {
  return stringify(Object.fromEntries([...use].map(([name, time]) => [name, time.toISOString()])));
}
