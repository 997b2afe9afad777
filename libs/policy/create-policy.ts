import { createAclPolicy, everyUserPolicy } from './acl.ts';
import type { Policy } from './policy.ts';
import type { AccessRule } from './rule-schema.ts';
import { remarksOnGroups, remarksOnRules } from './unlikely-rules.ts';

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
  for (const remark of [...remarksOnRules(rules, groups), ...remarksOnGroups(groups)]) warn(remark);
  for (const [group, members] of Object.entries(groups)) {
    const pattern = members.find((member) => /[*?[\]]|^\/.*\/$/.test(member));
    if (pattern === undefined) continue;
    throw new Error(
      `portcullis.groups: ${group}: "${pattern}" is a pattern, and members of groups are accounts; write the pattern as the account of a rule`,
    );
  }
  return createAclPolicy(rules, groups);
}
