import { mkdir } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { formatScope } from '#libs/access/scope.ts';
import { editFile } from '#libs/files/edit-file.ts';
import { UsageError } from '#libs/process/usage-error.ts';
import { readIfPresent } from '../read-if-present.ts';
import { readRobotUse } from '../robots/robot-store.ts';
import {
  assertRobotName,
  createRobotSecret,
  formatRobots,
  parseRobotAccess,
  parseRobots,
  type Robot,
  robotPrefix,
} from '../robots/robots-file.ts';
import { stateFiles } from '../state-files.ts';
import { stateOf } from './state-of.ts';

export const robotUsage = `usage: portcullis robot create NAME --access SCOPE... [--expires 90d|never] [--comment TEXT]
                               [--replace] [--config CONFIG | --state STATE]
       portcullis robot list [--config CONFIG | --state STATE]
       portcullis robot revoke NAME [--config CONFIG | --state STATE]

create  an account for a machine, robot+NAME, that may do just this, and prints its secret, once:

          portcullis robot create ci --access repository:team/app:pull,push --expires 90d

        SCOPE is repository:NAME:ACTIONS, where NAME may hold * and ** as in rules, or registry:catalog:*.
        --replace gives a robot that there is a new secret, access and time
list    what each may do, until when, and when it was used last
revoke  removes it; what was issued to it is void within seconds

Running services take every change by themselves. Without --expires a robot lives for 90 days.
`;

const options = {
  access: { type: 'string', multiple: true },
  expires: { type: 'string', default: '90d' },
  comment: { type: 'string' },
  replace: { type: 'boolean', default: false },
  config: { type: 'string' },
  state: { type: 'string' },
} as const;

const day = 24 * 60 * 60 * 1000;

/** `robot …`: accounts for machines. */
export async function robot(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const [action = '', name, ...more] = positionals;
  if (more.length > 0 || (action === 'list') !== (name === undefined)) {
    throw new UsageError(robotUsage.trimEnd());
  }
  const state = await stateOf(values, { mayBeNew: action === 'create' });
  const path = stateFiles.robots(state);
  switch (action) {
    case 'create': {
      const access = parseRobotAccess(values.access ?? []);
      if (access.length === 0) throw new UsageError('name what it may do: --access SCOPE');
      const { replace, comment } = values;
      const expires = parseExpiry(values.expires);
      return await create(path, { name: name ?? '', access, comment, expires }, replace);
    }
    case 'list':
      return await list(path, state);
    case 'revoke':
      return await revoke(path, name ?? '');
    default:
      throw new UsageError(robotUsage.trimEnd());
  }
}

async function create(
  path: string,
  wanted: Pick<Robot, 'name' | 'access' | 'comment' | 'expires'>,
  replace: boolean,
): Promise<number> {
  assertRobotName(wanted.name);
  const { secret, hash } = createRobotSecret();
  await mkdir(path.slice(0, path.lastIndexOf('/')), { recursive: true, mode: 0o700 });
  await editFile(path, (text) => {
    const robots = parseRobots(text);
    if (robots.has(wanted.name) && !replace) {
      throw new Error(`the robot ${wanted.name} already exists; --replace gives it a new secret`);
    }
    robots.set(wanted.name, { ...wanted, hash, created: new Date() });
    return formatRobots(robots);
  });
  // The secret alone on standard output, for scripts.
  process.stderr.write(`user ${robotPrefix}${wanted.name}, secret shown this once:\n`);
  process.stdout.write(`${secret}\n`);
  return 0;
}

async function list(path: string, state: string): Promise<number> {
  const robots = parseRobots(await readIfPresent(path));
  if (robots.size === 0) process.stderr.write(`no robots in ${path}\n`);
  const used = await readRobotUse(state);
  for (const { name, access, expires, comment } of robots.values()) {
    const over = expires !== undefined && expires.getTime() <= Date.now();
    const until =
      expires === undefined
        ? 'never expires'
        : `${over ? 'expired' : 'until'} ${expires.toISOString()}`;
    const last = used.get(name)?.toISOString() ?? 'never';
    const note = comment === undefined ? '' : `  # ${comment}`;
    process.stdout.write(
      `${robotPrefix}${name}  ${until}  last used ${last}  ${access.map(formatScope).join(' ')}${note}\n`,
    );
  }
  return 0;
}

async function revoke(path: string, given: string): Promise<number> {
  const name = given.startsWith(robotPrefix) ? given.slice(robotPrefix.length) : given;
  await editFile(path, (text) => {
    const robots = parseRobots(text);
    if (!robots.delete(name)) throw new Error(`there is no robot ${name}`);
    return formatRobots(robots);
  });
  process.stdout.write(`robot ${name} is gone, and what was issued to it is void\n`);
  return 0;
}

/** `90d`, `12h`, `never`. @returns undefined for never */
function parseExpiry(text: string): Date | undefined {
  if (text === 'never') return undefined;
  const match = /^(\d{1,6})([hdwy])$/.exec(text);
  const units: Record<string, number> = { h: day / 24, d: day, w: 7 * day, y: 365 * day };
  const length = Number(match?.[1] ?? 0) * (units[match?.[2] ?? ''] ?? 0);
  if (length === 0)
    throw new UsageError(`--expires: "${text}" is not a duration such as 90d, 12h or never`);
  return new Date(Date.now() + length);
}
