import type { Access } from '#libs/auth/scope.ts';
import { isRepositoryName } from '#libs/oci/reference.ts';
import type { Policy } from './policy/policy.ts';

/** Actions on a repository that mean something to us; others are dropped from a wish. */
const repositoryActions = ['pull', 'push', 'delete', '*'];

/**
 * What a caller gets of what it asks for: the intersection with the rules, without entries that came
 * out empty.
 */
export function grantAccess(policy: Policy, account: string, wanted: readonly Access[]): Access[] {
  return wanted
    .map((access) => ({ ...access, actions: grantOne(policy, account, access) }))
    .filter(({ actions }) => actions.length > 0);
}

function grantOne(policy: Policy, account: string, { type, name, actions }: Access): string[] {
  if (type === 'registry' && name === 'catalog') return grantCatalog(policy, account);
  if (type !== 'repository' || !isRepositoryName(name)) return [];
  const known = actions.filter((action) => repositoryActions.includes(action));
  return policy.grant(account, { type, name, actions: known });
}

/**
 * `*` lists everything, and only for whom a rule says so; everybody who is logged in may list what it
 * may pull, which `pull` stands for.
 */
function grantCatalog(policy: Policy, account: string): string[] {
  const catalog = { type: 'registry', name: 'catalog' };
  if (policy.grant(account, { ...catalog, actions: ['*'] }).length > 0) return ['*'];
  if (account !== '') return ['pull'];
  return policy.grant(account, { ...catalog, actions: ['pull'] });
}
