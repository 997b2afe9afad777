import { isAccountName } from '../values/account.ts';
import { countGroups, describeImpossibleName, isExpression, isUnanchored } from './pattern.ts';
import { type AccessRule, tokenTypes } from './rule-schema.ts';

/** What of rules is allowed and rarely meant: a sentence for each, which names the rule. */
export function remarksOnRules(
  rules: readonly AccessRule[],
  groups: Readonly<Record<string, readonly string[]>> = {},
): string[] {
  return rules.flatMap((rule, index) => {
    const isBehindDenial = rules.slice(0, index).some(deniesStrangers);
    return remarksOnRule(rule, { isBehindDenial, groups }).map(
      (remark) => `portcullis.acl[${index}]: ${remark}`,
    );
  });
}

/** Whether a rule keeps out who has not logged in, whatever they ask for. */
function deniesStrangers({ match, actions, effect }: AccessRule): boolean {
  const { account, ...others } = match;
  const isForAll = Object.values(others).every((one) => one === undefined);
  return effect === 'deny' && account === '' && actions.includes('*') && isForAll;
}

function remarksOnRule(
  { match, actions, effect }: AccessRule,
  {
    isBehindDenial,
    groups,
  }: { isBehindDenial: boolean; groups: Readonly<Record<string, readonly string[]>> },
): string[] {
  const { account, name, type = 'repository', ip, labels, time } = match;
  const remarks: (string | undefined)[] = [describeUnknownType(type)];
  if (name !== undefined && type === 'repository') {
    remarks.push(describeImpossibleName(name));
    if (isUnanchored(name)) {
      remarks.push(`${name} matches parts of names; write /^…$/ to mean the whole`);
    }
  }
  if (account !== undefined) {
    remarks.push(describeImpossibleAccount(account));
    if (Object.hasOwn(groups, account)) {
      remarks.push(`account "${account}" is one account, and no group; write "@${account}"`);
    }
  }
  remarks.push(...absentCaptures(match));
  const changes = actions.filter((action) => ['push', 'delete', '*'].includes(action));
  const isForEverybody =
    (account === undefined || /^\*+$|^\/(?:\.\*)?\/$/.test(account)) &&
    [ip, labels, time].every((one) => one === undefined) &&
    !needsLogin(match);
  const isOpen = isForEverybody && !isBehindDenial && type === 'repository';
  if (effect !== 'deny' && changes.length > 0 && isOpen) {
    remarks.push(
      `everybody may ${changes.join(', ')}, also who has not logged in; account: "/.+/" means whoever has`,
    );
  }
  if (
    effect !== 'deny' &&
    actions.includes('push') &&
    !actions.some((one) => one === 'pull' || one === '*')
  ) {
    remarks.push(
      'push without pull: who pushes looks first what is there, and no later rule adds to the first that counts; write [pull, push]',
    );
  }
  return remarks.filter((remark) => remark !== undefined);
}

/** Whether something stands in a rule for what is known of an account only: who has not logged in has none of it. */
function needsLogin({ name = '', service = '', type = '' }: AccessRule['match']): boolean {
  return /\$\{(?:account|labels|claim)\b/.test([name, service, type].join(' '));
}

/** What is about a type that no token of ours is for; other registries have others, which are patterns then. */
function describeUnknownType(type: string): string | undefined {
  const isPattern = isExpression(type) || /[*?[{$]/.test(type);
  if (isPattern || tokenTypes.some((one) => type === one || type.startsWith(`${one}(`))) {
    return undefined;
  }
  return `no request to this registry is about the type "${type}": there are ${tokenTypes.join(' and ')}`;
}

/** Why the account of a rule is none that anybody has; undefined where it may be. */
function describeImpossibleAccount(text: string): string | undefined {
  if (isExpression(text) || text === '') return undefined;
  if (text.startsWith('/')) {
    return `account "${text}" is no expression, and fits no account: one ends with /, and what would be a flag stands in it, as (?i)`;
  }
  if (text.startsWith('!')) {
    return `account "${text}" fits no account: there is no negation; write a rule with effect: deny`;
  }
  return isList(text) ? `account "${text}" is one account, and no list; ${forSeveral}` : undefined;
}

const forSeveral =
  'several are a group in portcullis.groups, or an expression such as /^(bob|ann)$/';

/** Several names where one belongs. Accounts of workloads, which have a colon, may have such characters. */
function isList(text: string): boolean {
  return /[,|]|\s/.test(text) && isAccountName(text) && !/[[\]*?]/.test(text);
}

/** Members of groups that are several accounts, as one would write them elsewhere. */
export function remarksOnGroups(groups: Readonly<Record<string, readonly string[]>>): string[] {
  return Object.entries(groups).flatMap(([group, members]) =>
    members
      .filter(isList)
      .map(
        (member) =>
          `portcullis.groups: ${group}: "${member}" is one account, and no list; write one in each line`,
      ),
  );
}

/** Placeholders for groups of expressions that do not have so many. */
function absentCaptures(match: AccessRule['match']): string[] {
  const { account = '', type = '', name = '', service = '', labels = {} } = match;
  const fields: Readonly<Record<string, string>> = { account, type, name, service };
  const texts = [...Object.values(fields), ...Object.values(labels)].join(' ');
  return [...texts.matchAll(/\$\{(account|type|name|service):(\d+)\}/g)].flatMap(
    ([placeholder, field = '', number]) => {
      const groups = countGroups(fields[field] ?? '');
      if (Number(number) <= groups) return [];
      const has = groups === 0 ? 'no expression with groups' : `an expression with ${groups}`;
      return [
        `${placeholder} stands for nothing: ${field} is ${has}, so that the rule never counts`,
      ];
    },
  );
}
