import { createHash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import type { Access } from '#libs/access/scope.ts';
import { ConfigurationError } from '../values/configuration-error.ts';
import type { Caller } from './caller.ts';
import { type Groups, resolveGroups } from './groups.ts';
import { compilePattern, fits, type Pattern } from './pattern.ts';
import type { CatalogDecision, DecidedBy, Decision, Policy } from './policy.ts';
import { type CompiledRule, compileRule } from './rule.ts';
import type { AccessRule } from './rule-schema.ts';

/**
 * Compiles access rules (docs/access-control.md). For each action the first rule counts that is about the request
 * and decides about it: an allowing rule about all, a denying one about those it lists. If none does, nothing
 * is granted.
 * @throws ConfigurationError naming the rules that cannot be used
 */
export function createAclPolicy(rules: readonly AccessRule[], groups: Groups): Policy {
  const members = resolveGroups(groups);
  const problems: string[] = [];
  const compiled = rules.flatMap((rule, index) => {
    try {
      return [compileRule(rule, index, members)];
    } catch (error) {
      problems.push(`portcullis.acl[${index}]: ${(error as Error).message}`);
      return [];
    }
  });
  if (problems.length > 0) throw new ConfigurationError(problems);
  const version = createHash('sha256')
    .update(JSON.stringify([rules, groups]))
    .digest('base64url');

  const lists = (actions: readonly string[], action: string) =>
    actions.includes('*') || actions.includes(action);
  /** Whether a rule decides that somebody may not pull something. */
  const refusesPull = ({ about, effect, actions }: CompiledRule) =>
    about !== 'the catalog' && (effect === 'deny') === lists(actions, 'pull');
  /** The first rule by which a name may be hidden: none behind it says that everything may be seen. */
  const firstRefusing = compiled.findIndex(refusesPull);

  /** Whether one whom a rule grants `*` on the catalog may see every name. */
  function showsAll(by: DecidedBy): boolean {
    if (typeof by !== 'number') return true;
    const about = compiled[by]?.about;
    if (about === 'the catalog') return true;
    return about === 'everything' && (firstRefusing < 0 || by < firstRefusing);
  }

  function decide(caller: Caller, wanted: Access, now = new Date()): Decision {
    const open = new Set(wanted.actions);
    const by = new Map<string, DecidedBy>();
    const granted: string[] = [];
    // A robot has its own list; what rules deny is denied to it, too.
    const own = caller.access;
    for (const rule of compiled) {
      if (open.size === 0) break;
      if (own !== undefined && rule.effect === 'allow') continue;
      if (rule.mismatch(caller, wanted, now) !== undefined) continue;
      for (const action of open) {
        // Who is denied one action is denied all of them at once.
        const denies = lists(rule.actions, action) || action === '*';
        if (rule.effect === 'deny' && !denies) continue;
        by.set(action, rule.index);
        open.delete(action);
        if (rule.effect === 'allow' && lists(rule.actions, action)) granted.push(action);
      }
    }
    for (const action of open) {
      const allowed = own !== undefined && robotMay(own, wanted, action);
      by.set(action, own === undefined ? 'no rule' : 'robot');
      if (allowed) granted.push(action);
    }
    return { granted: wanted.actions.filter((action) => granted.includes(action)), by };
  }

  return {
    version,
    labelKeys: new Set(rules.flatMap(labelKeysOf)),
    decide,
    decideCatalog: (caller, now) => decideCatalog(caller, { decide, showsAll }, now),

    report: (caller, wanted, now = new Date()) =>
      compiled.map(({ index, effect, actions, comment, mismatch }) => ({
        index,
        effect,
        actions,
        comment,
        mismatch: mismatch(caller, wanted, now),
      })),
  };
}

/** What htpasswd means in distribution: whoever can log in may do everything, and a robot what it was made for. */
export const everyUserPolicy: Policy = {
  version: 'every-user',
  labelKeys: new Set(),
  decide: decideForEveryUser,
  decideCatalog: (caller) =>
    decideCatalog(caller, { decide: decideForEveryUser, showsAll: () => true }),
  report: () => [],
};

function decideForEveryUser(caller: Caller, wanted: Access): Decision {
  const allowed = (action: string) =>
    caller.access === undefined ? caller.account !== '' : robotMay(caller.access, wanted, action);
  const by: DecidedBy = caller.access === undefined ? 'every user' : 'robot';
  return {
    granted: wanted.actions.filter(allowed),
    by: new Map(wanted.actions.map((action) => [action, by])),
  };
}

/** {@link Policy.decideCatalog} over what decides about one action. */
function decideCatalog(
  caller: Caller,
  rules: { decide: Policy['decide']; showsAll(by: DecidedBy): boolean },
  now?: Date,
): CatalogDecision {
  const wanted = { type: 'registry', name: 'catalog' };
  const [all, own] = ['*', 'pull'].map((action) => {
    const { granted, by } = rules.decide(caller, { ...wanted, actions: [action] }, now);
    return { granted: granted.length > 0, by: by.get(action) ?? 'no rule' };
  }) as [OneDecision, OneDecision];
  const by = new Map([
    ['*', all.by],
    ['pull', own.by],
  ]);
  if (all.granted && rules.showsAll(all.by)) return { sees: 'all names', by };
  return { sees: caller.account !== '' || own.granted ? 'what it may pull' : 'nothing', by };
}

interface OneDecision {
  granted: boolean;
  by: DecidedBy;
}

/** Those that a rule matches by, and those that stand in its patterns. */
function labelKeysOf({ match }: AccessRule): string[] {
  const { labels = {}, account = '', type = '', name = '', service = '' } = match;
  const texts = [account, type, name, service, ...Object.values(labels)].join(' ');
  const named = [...texts.matchAll(/\$\{(?:labels|claim):([^}]+)\}/g)].map(([, key = '']) => key);
  return [...Object.keys(labels), ...named];
}

/** A robot's access names repositories as rules do, with `*` and `**`. */
function robotMay(own: readonly Access[], wanted: Access, action: string): boolean {
  return own.some(
    ({ type, name, actions }) =>
      type === wanted.type &&
      (actions.includes('*') || actions.includes(action)) &&
      matchesName(name, wanted.name),
  );
}

const compiledNames = new LRUCache<string, Pattern>({ max: 1000 });

function matchesName(text: string, name: string): boolean {
  let pattern = compiledNames.get(text);
  if (pattern === undefined) {
    pattern = compilePattern(text, { inNames: true });
    compiledNames.set(text, pattern);
  }
  const nothing = { account: '', type: '', name, service: '', labels: {}, captures: {} };
  return fits(pattern, name, nothing);
}
