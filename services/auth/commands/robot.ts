import { dirname } from 'node:path';
import { type Access, formatScope } from '#libs/access/scope.ts';
import { editFile } from '#libs/files/edit-file.ts';
import { makeFolders } from '#libs/files/make-folders.ts';
import { readIfPresent } from '#libs/files/read-text.ts';
import { formatTable } from '#libs/process/format-table.ts';
import { UsageError } from '#libs/process/usage-error.ts';
import { robotPrefix } from '#libs/values/account.ts';
import { readRobotUse } from '../robots/robot-store.ts';
import {
  assertFitsSomething,
  assertRobotName,
  createRobotSecret,
  formatRobots,
  parseRobotAccess,
  parseRobots,
  type Robot,
} from '../robots/robots-file.ts';
import { stateFiles } from '../state-files.ts';
import { type StateTarget, stateOf } from './state-of.ts';

const day = 24 * 60 * 60 * 1000;

export interface RobotOptions {
  /** Scopes, `repository:NAME:ACTIONS`. */
  access?: readonly string[] | undefined;
  /** `90d`, `12h`, a date, or `never`. */
  expires: string;
  comment?: string | undefined;
  /** Gives a robot that there is a new secret, access and time. */
  replace?: boolean | undefined;
}

/** Makes an account for a machine, and prints its secret. @returns the exit code */
export async function createRobot(
  name: string,
  options: RobotOptions,
  target: StateTarget,
): Promise<number> {
  assertRobotName(name);
  const access = parseRobotAccess(options.access ?? []);
  if (access.length === 0) throw new UsageError('name what it may do: --access SCOPE');
  for (const one of access) assertFitsSomething(one);
  warnOfUseless(access);
  const expires = parseExpiry(options.expires);
  const { comment, replace = false } = options;
  const path = stateFiles.robots(await stateOf(target, 'unless configured'));
  const { secret, hash } = createRobotSecret();
  await makeFolders(dirname(path), 0o700);
  await editFile(path, (text) => {
    const robots = parseRobots(text, path);
    if (robots.has(name) && !replace) {
      throw new Error(`the robot ${name} already exists; --replace gives it a new secret`);
    }
    const said = comment ?? robots.get(name)?.comment;
    robots.set(name, { name, access, comment: said, expires, hash, created: new Date() });
    return formatRobots(robots);
  });
  // The secret alone on standard output, for scripts.
  process.stderr.write(`user ${robotPrefix}${name}, secret shown this once:\n`);
  process.stdout.write(`${secret}\n`);
  return 0;
}

/** Who pushes looks first what is there. */
function warnOfUseless(access: readonly Access[]): void {
  const mayAnywhere = (action: string) =>
    access.some(({ actions }) => actions.includes(action) || actions.includes('*'));
  if (!mayAnywhere('push') || mayAnywhere('pull')) return;
  process.stderr.write('portcullis: who may push and not pull cannot push; write …:pull,push\n');
}

/** @returns the exit code */
export async function listRobots(target: StateTarget, json: boolean): Promise<number> {
  const state = await stateOf(target);
  const path = stateFiles.robots(state);
  const robots = [...parseRobots(await readIfPresent(path), path).values()];
  const used = await readRobotUse(state);
  if (json) {
    const entries = robots.map(({ name, access, created, expires, comment }) => ({
      user: robotPrefix + name,
      access: access.map(formatScope),
      created,
      expires: expires ?? null,
      lastUsed: used.get(name) ?? null,
      ...(comment === undefined ? {} : { comment }),
    }));
    process.stdout.write(`${JSON.stringify(entries)}\n`);
    return 0;
  }
  if (robots.length === 0) process.stderr.write(`no robots in ${path}\n`);
  else
    process.stdout.write(
      formatTable(
        columns,
        robots.map((robot) => rowOf(robot, used)),
      ),
    );
  return 0;
}

const columns = ['USER', 'EXPIRES', 'LAST USED', 'ACCESS', 'COMMENT'];

function rowOf({ name, access, expires, comment }: Robot, used: ReadonlyMap<string, Date>) {
  const over = expires !== undefined && expires.getTime() <= Date.now();
  const until = expires === undefined ? 'never' : expires.toISOString();
  return [
    robotPrefix + name,
    over ? `${until} (expired)` : until,
    used.get(name)?.toISOString() ?? 'never',
    access.map(formatScope).join(' '),
    (comment ?? '').replaceAll(/\s+/g, ' '),
  ];
}

/** @returns the exit code */
export async function revokeRobot(given: string, target: StateTarget): Promise<number> {
  const name = given.startsWith(robotPrefix) ? given.slice(robotPrefix.length) : given;
  const path = stateFiles.robots(await stateOf(target));
  await editFile(path, (text) => {
    const robots = parseRobots(text, path);
    if (!robots.delete(name)) throw new Error(`there is no robot ${name}`);
    return formatRobots(robots);
  });
  process.stdout.write(`robot ${name} is gone, and what was issued to it is void\n`);
  return 0;
}

/** `90d`, `12h`, `2030-01-31`, `never`. @returns undefined for never */
function parseExpiry(text: string): Date | undefined {
  if (text === 'never') return undefined;
  if (/^\d{4}-\d\d-\d\d$/.test(text)) {
    const date = new Date(text);
    // Of the 31st of February it makes one in March.
    const isDate = !Number.isNaN(date.getTime()) && date.toISOString().startsWith(text);
    if (isDate && date.getTime() > Date.now()) return date;
    throw new UsageError(`--expires: ${text} is not a date in the future`);
  }
  const match = /^(\d{1,6})([hdwy])$/.exec(text);
  const units: Record<string, number> = { h: day / 24, d: day, w: 7 * day, y: 365 * day };
  const length = Number(match?.[1] ?? 0) * (units[match?.[2] ?? ''] ?? 0);
  if (length > 1000 * 365 * day) throw new UsageError('--expires: use never instead of that long');
  if (length === 0)
    throw new UsageError(
      `--expires: "${text}" is not a duration such as 90d or 12h, a date such as 2030-01-31, or never`,
    );
  return new Date(Date.now() + length);
}
