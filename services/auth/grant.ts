import type { Access } from '#libs/access/scope.ts';
import { eachInTurn, type TurnOptions } from '#libs/limits/in-turn.ts';
import { isRepositoryName } from '#libs/oci/reference.ts';
import type { Caller } from '#libs/policy/caller.ts';
import type { CatalogDecision, DecidedBy, Policy } from '#libs/policy/policy.ts';

/** Actions on a repository that mean something to us; others are dropped. */
const repositoryActions = ['pull', 'push', 'delete', '*'];

/** What of the requested access a caller got, and why not the rest. */
export interface Grant {
  access: Access[];
  /** What was asked for and not granted, each with who decided. */
  denied: { type: string; name: string; action: string; by: DecidedBy }[];
  /** The rules that granted something, by their places. */
  rules: number[];
}

/**
 * What a caller gets of what it asks for: the intersection with the rules, without entries that came
 * out empty. Many scopes are looked at in turn with those of others.
 * @throws what the signal was aborted with
 */
export async function grantAccess(
  policy: Policy,
  caller: Caller,
  wanted: readonly Access[],
  options?: TurnOptions,
): Promise<Grant> {
  const grant: Grant = { access: [], denied: [], rules: [] };
  const decide = (access: Access) => {
    const actions = grantOne(policy, caller, access, grant);
    if (actions.length > 0) grant.access.push({ ...access, actions });
  };
  await eachInTurn(wanted, decide, options);
  grant.rules = [...new Set(grant.rules)].sort((a, b) => a - b);
  return grant;
}

function grantOne(
  policy: Policy,
  caller: Caller,
  { type, name, actions }: Access,
  grant: Grant,
): string[] {
  if (type === 'registry' && name === 'catalog') {
    return [...catalogActions[policy.decideCatalog(caller).sees]];
  }
  if (type !== 'repository' || !isRepositoryName(name)) return [];
  const known = actions.filter((action) => repositoryActions.includes(action));
  const { granted, by } = policy.decide(caller, { type, name, actions: known });
  for (const action of known) {
    const decidedBy = by.get(action) ?? 'no rule';
    if (!granted.includes(action)) grant.denied.push({ type, name, action, by: decidedBy });
    else if (typeof decidedBy === 'number') grant.rules.push(decidedBy);
  }
  return granted;
}

/** Actions of registry:catalog that a token has: `*` lists everything, `pull` what its account may pull. */
const catalogActions: Readonly<Record<CatalogDecision['sees'], string[]>> = {
  'all names': ['*'],
  'what it may pull': ['pull'],
  nothing: [],
};
