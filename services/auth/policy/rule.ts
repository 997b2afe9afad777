import type { AccessRule } from '#libs/config/schema/portcullis.ts';
import { createNetworks } from '#libs/http/networks.ts';
import type { Caller } from './caller.ts';
import { compilePattern, type Pattern, type Values } from './pattern.ts';
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
  /** Whether it says what it is about: repositories or the catalog. */
  namesType: boolean;
  /** @returns undefined if the rule is about this request; else the first field that is not, in words */
  mismatch(caller: Caller, target: Target, now: Date): string | undefined;
}

const knownActions = ['pull', 'push', 'delete', '*'];

type Members = ReadonlyMap<string, ReadonlySet<string>>;

/** @throws Error naming what cannot be compiled */
export function compileRule(
  { match, actions, effect = 'allow', comment }: AccessRule,
  index: number,
  groups: Members,
): CompiledRule {
  const unknown = actions.find((action) => !knownActions.includes(action));
  if (effect === 'deny' && unknown !== undefined) {
    throw new Error(
      `"${unknown}" is no action that can be denied; they are ${knownActions.join(', ')}`,
    );
  }
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
  const networks = match.ip === undefined ? undefined : createNetworks(match.ip, 'ip');
  const inWindow = match.time === undefined ? undefined : compileWindow(match.time);

  return {
    index,
    actions,
    effect,
    comment,
    namesType: match.type !== undefined,
    mismatch(caller, { type, name }, now) {
      const { account, client, service, labels: known } = caller;
      const captures: { -readonly [Key in keyof Values['captures']]: Values['captures'][Key] } = {};
      const values: Values = { account, type, name, service, labels: known, captures };
      // Somebody without a login is in no group.
      if (group !== undefined && (account === '' || !group.has(account))) {
        return `${account || 'nobody'} is not in ${match.account}`;
      }
      for (const [field, pattern] of fields) {
        if (pattern === undefined) continue;
        const groups = pattern.match(values[field], values);
        if (groups === undefined) {
          return `${field} "${values[field]}" is not ${match[field]}`;
        }
        captures[field] = groups;
      }
      for (const [key, text, pattern] of labels) {
        const all = Object.hasOwn(known, key) ? (known[key] ?? []) : [];
        if (!all.some((value) => pattern.match(value, values))) {
          return `label ${key} is not ${text}`;
        }
      }
      if (networks !== undefined && !networks(client)) {
        return `ip ${client || 'unknown'} is not in ${match.ip?.join(', ')}`;
      }
      if (inWindow !== undefined && !inWindow(now)) return 'it is not the time for it';
      return undefined;
    },
  };
}

/** `@group` is every member of the group. */
function membersOf(account: string, groups: Members): ReadonlySet<string> {
  const name = account.slice(1);
  const members = groups.get(name);
  if (members === undefined) throw new Error(`there is no group "${name}" in portcullis.groups`);
  return members;
}
