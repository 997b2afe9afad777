import { isIP } from 'node:net';
import { describeInvalidAction } from '#libs/access/actions.ts';
import { parseHtpasswd } from '#libs/auth/htpasswd.ts';
import { loadConfiguration } from '#libs/config/load-configuration.ts';
import type { AuthSettings } from '#libs/config/sections/auth.ts';
import { toSettings } from '#libs/config/settings.ts';
import { describeUnreadable, readIfPresent } from '#libs/files/read-text.ts';
import { isRepositoryName } from '#libs/oci/reference.ts';
import { type Caller, callerOf } from '#libs/policy/caller.ts';
import { createPolicy } from '#libs/policy/create-policy.ts';
import type { DecidedBy, Policy } from '#libs/policy/policy.ts';
import { UsageError } from '#libs/process/usage-error.ts';
import { robotPrefix } from '#libs/values/account.ts';
import { parseRobots, type Robot } from '../robots/robots-file.ts';
import { stateFiles } from '../state-files.ts';

/** The answer is no, or an expectation does not hold. */
export const no = 3;

/** What is asked about one or several actions. */
export interface AccessQuestion {
  /** Without it: a client that did not log in. */
  account?: string | undefined;
  /** `repository` or `registry`. */
  type: string;
  repository: string;
  action: readonly string[];
  ip?: string | undefined;
  /** `KEY=VALUE` */
  label?: readonly string[] | undefined;
}

/** Where the rules are, and how the answer is printed. */
export interface AclOptions {
  config: string | undefined;
  json: boolean;
}

/** The rules, asked as the service asks them. @returns the exit code: 3 if an action is denied */
export async function explainAccess(
  question: AccessQuestion,
  { config, json }: AclOptions,
): Promise<number> {
  const { account = '', type, repository, ip = '' } = question;
  assertResource(type, repository);
  if (question.ip !== undefined && isIP(question.ip) === 0) {
    throw new UsageError(`--ip: "${question.ip}" is not an IP address`);
  }
  for (const action of question.action) {
    const why = describeInvalidAction(action);
    if (why !== undefined) throw new UsageError(`--action: ${why}`);
  }
  const labels = parseLabels(question.label ?? []);
  const settings = await rulesOf(config);
  if (settings === undefined) {
    const answers = question.action.map((action) => ({
      ...{ action, type, repository, allowed: true, by: 'no auth' },
      skipped: [],
    }));
    if (json) process.stdout.write(`${JSON.stringify(answers)}\n`);
    else process.stdout.write('everybody may do everything: the configuration has no auth\n');
    return 0;
  }
  const policy = createPolicy(settings, warn);
  const caller = await callerFor({ account, ip, labels }, settings);
  const answers = question.action.map((action) =>
    explain(policy, settings, caller, { type, name: repository }, action),
  );
  if (json) process.stdout.write(`${JSON.stringify(answers)}\n`);
  else process.stdout.write(answers.map((answer) => format(answer, caller, settings)).join('\n'));
  const absent = await describeAbsent(account, settings);
  if (absent !== undefined) warn(absent);
  return answers.every(({ allowed }) => allowed) ? 0 : no;
}

/** The rules and accounts of a configuration; undefined where everybody may do everything. @throws Error where others decide */
async function rulesOf(config: string | undefined): Promise<AuthSettings | undefined> {
  const loaded = await loadConfiguration(config);
  const { auth } = toSettings(loaded);
  const isOpen = loaded.configuration.auth === undefined || 'none' in loaded.configuration.auth;
  if (auth !== undefined || isOpen) return auth;
  throw new Error('the configuration has no auth.htpasswd: others make its tokens, by their rules');
}

export function warn(message: string): void {
  process.stderr.write(`warn: ${message}\n`);
}

/** @throws UsageError for what no token is about */
function assertResource(type: string, name: string): void {
  if (type === 'registry' && name === 'catalog') return;
  if (type === 'registry') throw new UsageError('--type registry is about "catalog" only');
  if (type !== 'repository') {
    throw new UsageError(`--type: "${type}" is not a type; use repository or registry`);
  }
  if (!isRepositoryName(name))
    throw new UsageError(`--repository: "${name}" is not a repository name`);
}

/** Whom the service would see: of a robot also what it was made for. */
export async function callerFor(
  { account, ip, labels }: { account: string; ip: string; labels: Record<string, string[]> },
  settings: AuthSettings,
): Promise<Caller> {
  const access = await accessOfRobot(account, settings);
  const known = Object.keys(labels).length > 0 ? labels : settings.users.get(account)?.labels;
  const { service } = settings;
  return callerOf(account, { client: ip, service, labels: known ?? {}, access });
}

/** What a robot was made for; undefined for everybody else. */
async function accessOfRobot(account: string, settings: AuthSettings) {
  if (!account.startsWith(robotPrefix)) return undefined;
  // One that does not exist has what none was given.
  return (await robotsOf(settings)).get(account.slice(robotPrefix.length))?.access ?? [];
}

async function robotsOf({ state }: AuthSettings): Promise<ReadonlyMap<string, Robot>> {
  const path = stateFiles.robots(state);
  return parseRobots(await readIfPresent(path), path);
}

/** @returns undefined for one that exists, or of which nobody can know */
async function describeAbsent(
  account: string,
  settings: AuthSettings,
): Promise<string | undefined> {
  if (account === '' || account.includes(':')) return undefined;
  try {
    const exists = account.startsWith(robotPrefix)
      ? (await robotsOf(settings)).has(account.slice(robotPrefix.length))
      : settings.users.has(account) ||
        parseHtpasswd((await readIfPresent(settings.htpasswd)) ?? '').accounts.has(account);
    return exists ? undefined : `there is no account "${account}", so nobody can log in as it`;
  } catch (error) {
    return `whether the account exists cannot be seen: ${settings.htpasswd}: ${describeUnreadable(error)}`;
  }
}

/** What the rules say about one action. */
interface Answer {
  action: string;
  type: string;
  repository: string;
  allowed: boolean;
  /** A rule by its place, or what stands in for rules. */
  by: DecidedBy;
  /** The rules above it, and why they do not decide. */
  skipped: { rule: number; why: string }[];
}

function explain(
  policy: Policy,
  settings: AuthSettings,
  caller: Caller,
  { type, name }: { type: string; name: string },
  action: string,
): Answer {
  const wanted = { type, name, actions: [action] };
  const { allowed, by } = decide(policy, caller, { type, name, action });
  const skipped = [];
  const reports = settings.rules === undefined ? [] : policy.report(caller, wanted);
  for (const { index, mismatch, effect, actions } of reports) {
    if (typeof by === 'number' && index >= by) break;
    const verb = effect === 'deny' ? 'denies' : 'allows';
    const isPassedOver = caller.access !== undefined && effect !== 'deny';
    const other = isPassedOver
      ? 'rules that allow are not asked about robots'
      : `it ${verb} ${actions.join(', ')} only`;
    skipped.push({ rule: index, why: mismatch ?? other });
  }
  return {
    action,
    type,
    repository: name,
    allowed,
    by,
    skipped,
  };
}

/** As a token would be given it, and who decided. */
export function decide(
  policy: Policy,
  caller: Caller,
  { type, name, action }: { type: string; name: string; action: string },
  at?: Date,
): { allowed: boolean; by: DecidedBy } {
  if (type === 'registry') {
    const { sees, by } = policy.decideCatalog(caller, at);
    const allowed = sees === 'all names' || (sees === 'what it may pull' && action === 'pull');
    return { allowed, by: by.get(action) ?? 'no rule' };
  }
  const { granted, by } = policy.decide(caller, { type, name, actions: [action] }, at);
  return { allowed: granted.length > 0, by: by.get(action) ?? 'no rule' };
}

function format(answer: Answer, { account }: Caller, { rules = [] }: AuthSettings): string {
  const { action, type, repository, allowed, by, skipped } = answer;
  const who = account === '' ? 'an anonymous client' : account;
  const what = type === 'repository' ? repository : `${type} ${repository}`;
  const lines = [
    `${who} ${allowed ? 'may' : 'may not'} ${action} ${what}`,
    `  ${type === 'registry' ? describeCatalog(answer, rules) : describe(by, rules)}`,
    ...skipped.map(({ rule, why }) => `  skipped: acl[${rule}]: ${why}`),
  ];
  return `${lines.join('\n')}\n`;
}

export function describe(by: DecidedBy, rules: NonNullable<AuthSettings['rules']>): string {
  if (by === 'no rule') return 'because no rule matches';
  if (by === 'every user') return 'because there are no rules: who can log in may do everything';
  if (by === 'robot') return 'because of what the robot was made for';
  const { match, actions, effect, comment } = rules[by] ?? { match: {}, actions: [] };
  const text = JSON.stringify({ match, actions, ...(effect === undefined ? {} : { effect }) });
  return `because of acl[${by}] ${text}${comment === undefined ? '' : `  # ${comment}`}`;
}

/** See {@link Policy.decideCatalog}. */
function describeCatalog(
  { allowed, by }: Answer,
  rules: NonNullable<AuthSettings['rules']>,
): string {
  if (allowed && by === 'no rule') return 'because who is logged in may list what it may pull';
  if (!allowed && by !== 'no rule') {
    return `because acl[${by}] shows no list of all names: a rule that does names "catalog" or matches every name, and no rule above it may refuse a pull`;
  }
  return describe(by, rules);
}

function parseLabels(given: readonly string[]): Record<string, string[]> {
  const labels: Record<string, string[]> = {};
  for (const text of given) {
    const [key = '', ...value] = text.split('=');
    if (key === '' || value.length === 0) {
      throw new UsageError(`--label ${text} is not of the form KEY=VALUE`);
    }
    labels[key] = [...(labels[key] ?? []), value.join('=')];
  }
  return labels;
}
