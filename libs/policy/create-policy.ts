import { createAclPolicy, everyUserPolicy } from './acl.ts';
import { isUnanchored } from './pattern.ts';
import type { Policy } from './policy.ts';
import type { AccessRule } from './rule-schema.ts';

/**
 * The policy that the configuration describes.
 * @param warn told of what is allowed and rarely meant
 * @throws Error naming the rule that cannot be used
 */
export function createPolicy(
  { rules, groups }: { rules: AccessRule[] | undefined; groups: Record<string, string[]> },
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
