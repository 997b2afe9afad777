import { describeInvalidAction } from '#libs/access/actions.ts';
import { nearestWord } from '#libs/values/nearest-word.ts';
import { createNetworks, isAddress } from '#libs/values/networks.ts';
import type { Caller } from './caller.ts';
import { compilePattern, maxWays, type Pattern, tooMany, type Values } from './pattern.ts';
import { type AccessRule, tokenTypes } from './rule-schema.ts';
import { compileWindow } from './time-window.ts';

/** What is asked for, without its actions. */
export interface Target {
  type: string;
  name: string;
}

export interface CompiledRule {
  /** Where it stands in `portcullis.acl`, from 0. */
  index: number;
  actions: readonly string[];
  effect: 'allow' | 'deny';
  comment: string | undefined;
  /** What it is about, for whom it is: the catalog by its name, everything that there is, or some of it. */
  about: 'the catalog' | 'everything' | 'some';
  /** @returns undefined if the rule is about this request; else the first field that is not, in words */
  mismatch(caller: Caller, target: Target, now: Date): string | undefined;
}

/** @throws Error for a slip: a rule about a type that there is not would be about nothing */
function assertType(type: string | undefined): void {
  if (type === undefined || tokenTypes.includes(type)) return;
  const near = nearestWord(type, tokenTypes);
  if (near !== undefined) throw new Error(`type: there is no "${type}"; did you mean ${near}?`);
}

type Members = ReadonlyMap<string, ReadonlySet<string>>;

/** @throws Error naming what cannot be compiled */
export function compileRule(
  { match, actions, effect = 'allow', comment }: AccessRule,
  index: number,
  groups: Members,
): CompiledRule {
  for (const action of actions) {
    const why = describeInvalidAction(action);
    if (why !== undefined) throw new Error(`actions: ${why}`);
  }
  if (effect === 'deny' && actions.length === 0)
    throw new Error('actions: must not be empty in a deny rule');
  assertType(match.type);
  const group = match.account?.startsWith('@') ? membersOf(match.account, groups) : undefined;
  const compile = (text: string | undefined, inNames = false) =>
    text === undefined ? undefined : compilePattern(text, { inNames });
  // In this order, so that what one captured the later ones can use.
  const fields: [field: 'account' | 'type' | 'service' | 'name', Pattern | undefined][] = [
    ['account', group === undefined ? compile(match.account) : undefined],
    ['type', compile(match.type)],
    ['service', compile(match.service)],
    ['name', compile(match.name, true)],
  ];
  const labels = Object.entries(match.labels ?? {}).map(
    ([key, text]) => [key, text, compilePattern(text, { inNames: false })] as const,
  );
  /** What is said where nobody knows: a rule that allows is not about it, and one that denies is, whatever else it says. */
  const unknown = effect === 'deny' ? undefined : 'it has placeholders with too many values';
  const networks = match.ip === undefined ? undefined : createNetworks(match.ip, 'ip');
  const inWindow = match.time === undefined ? undefined : compileWindow(match.time);

  return {
    index,
    actions,
    effect,
    comment,
    about: aboutOf(match),
    mismatch(caller, { type, name }, now) {
      const { account, client, service, labels: known } = caller;
      const captures: { -readonly [Key in keyof Values['captures']]: Values['captures'][Key] } = {};
      const values: Values = { account, type, name, service, labels: known, captures };
      // Somebody without a login is in no group.
      if (group !== undefined && (account === '' || !group.has(account))) {
        return `${account || 'an anonymous client'} is not in ${match.account}`;
      }
      for (const [field, pattern] of fields) {
        if (pattern === undefined) continue;
        const groups = pattern.match(values[field], values);
        if (groups === tooMany) return unknown;
        if (groups === undefined) {
          return `${field} "${values[field]}" is not ${match[field] || '""'}`;
        }
        captures[field] = groups;
      }
      for (const [key, text, pattern] of labels) {
        const all = Object.hasOwn(known, key) ? (known[key] ?? []) : [];
        const found = matchAny(pattern, all, values);
        if (found === tooMany) return unknown;
        if (!found) return `label ${key} is not ${text}`;
      }
      // Of an address that is not known nobody can say that a denying rule is not about it.
      const isUnknown = effect === 'deny' && !isAddress(client);
      if (networks !== undefined && !isUnknown && !networks(client)) {
        return `ip ${client || 'unknown'} is not in ${match.ip?.join(', ')}`;
      }
      if (inWindow !== undefined && !inWindow(now)) return 'it does not apply at this time';
      return undefined;
    },
  };
}

/** Whether one of the values of a label fits. */
function matchAny(
  pattern: Pattern,
  texts: readonly string[],
  values: Values,
): boolean | typeof tooMany {
  const left = { ways: maxWays };
  for (const text of texts) {
    const groups = pattern.match(text, values, left);
    if (groups === tooMany) return tooMany;
    if (groups !== undefined) return true;
  }
  return false;
}

/** A pattern that may mean more than it seems to counts as some: then each name is asked about. */
function aboutOf({ type, name }: AccessRule['match']): CompiledRule['about'] {
  if (type === 'registry') return 'the catalog';
  const isAny = (text: string | undefined) => text === undefined || text === '**';
  return isAny(type === '*' ? undefined : type) && isAny(name) ? 'everything' : 'some';
}

/** `@group` is every member of the group. */
function membersOf(account: string, groups: Members): ReadonlySet<string> {
  const name = account.slice(1);
  const members = groups.get(name);
  if (members === undefined) throw new Error(`there is no group "${name}" in portcullis.groups`);
  return members;
}
