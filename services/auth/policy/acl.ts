import { createHash } from 'node:crypto';
import type { AccessRule } from '#libs/config/schema/portcullis.ts';
import { compilePattern, type Pattern, type Subject } from './pattern.ts';
import type { Policy } from './policy.ts';

interface CompiledRule {
  matches(subject: Subject, type: string, name: string): boolean;
  actions: readonly string[];
}

type Groups = Readonly<Record<string, readonly string[]>>;

/**
 * Compiles access rules: the first that matches decides; if none does, nothing is granted. A field
 * that is left out matches everything, an anonymous caller included.
 * @throws Error naming the rule that cannot be used
 */
export function createAclPolicy(rules: readonly AccessRule[], groups: Groups): Policy {
  const compiled = rules.map((rule, index) => {
    try {
      return compileRule(rule, groups);
    } catch (error) {
      throw new Error(`portcullis.acl[${index}]: ${(error as Error).message}`, { cause: error });
    }
  });
  const version = createHash('sha256')
    .update(JSON.stringify([rules, groups]))
    .digest('base64url');
  return {
    version,
    grant(account, { type, name, actions }) {
      const rule = compiled.find(({ matches }) => matches({ account }, type, name));
      if (rule === undefined) return [];
      return rule.actions.includes('*')
        ? [...actions]
        : actions.filter((action) => rule.actions.includes(action));
    },
  };
}

/** What htpasswd means in distribution: whoever can log in may do everything. */
export const everyUserPolicy: Policy = {
  version: 'every-user',
  grant: (account, { actions }) => (account === '' ? [] : [...actions]),
};

function compileRule({ match, actions }: AccessRule, groups: Groups): CompiledRule {
  const account = match.account === undefined ? undefined : compileAccount(match.account, groups);
  const type = match.type === undefined ? undefined : compilePattern(match.type);
  const name = match.name === undefined ? undefined : compilePattern(match.name);
  return {
    actions,
    matches: (subject, askedType, askedName) =>
      (account?.(subject.account, subject) ?? true) &&
      (type?.(askedType, subject) ?? true) &&
      (name?.(askedName, subject) ?? true),
  };
}

/** `@group` is every member of the group; `""` is the anonymous caller. */
function compileAccount(text: string, groups: Groups): Pattern {
  if (!text.startsWith('@')) return compilePattern(text);
  const group = text.slice(1);
  const members = Object.hasOwn(groups, group) ? groups[group] : undefined;
  if (members === undefined) throw new Error(`there is no group "${group}" in portcullis.groups`);
  const set = new Set(members);
  return (account) => account !== '' && set.has(account);
}
