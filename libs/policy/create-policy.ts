import type { AuthSettings } from '#libs/config/settings.ts';
import { createAclPolicy, everyUserPolicy } from './acl.ts';
import { isUnanchored } from './pattern.ts';
import type { Policy } from './policy.ts';

/**
 * The policy that the configuration describes.
 * @param warn told of what is allowed and rarely meant
 * @throws Error naming the rule that cannot be used
 */
export function createPolicy(
  { rules, groups }: Pick<AuthSettings, 'rules' | 'groups'>,
  warn: (message: string) => void,
): Policy {
  if (rules === undefined) return everyUserPolicy;
  rules.forEach(({ match: { name } }, index) => {
    if (name === undefined || !isUnanchored(name)) return;
    warn(
      `portcullis.acl[${index}]: ${name} matches anywhere in a name; write /^…$/ to mean the whole`,
    );
  });
  return createAclPolicy(rules, groups);
}
