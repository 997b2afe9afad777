import { isIP } from 'node:net';
import { z } from 'zod';
import { describeInvalidAction } from '#libs/access/actions.ts';
import { describeIssue } from '#libs/config/describe-issue.ts';
import { parseYaml, YamlError } from '#libs/config/parse-yaml.ts';
import type { AuthSettings } from '#libs/config/sections/auth.ts';
import { readText } from '#libs/files/read-text.ts';
import { isRepositoryName } from '#libs/oci/reference.ts';
import type { Caller } from '#libs/policy/caller.ts';
import { createPolicy } from '#libs/policy/create-policy.ts';
import type { Policy } from '#libs/policy/policy.ts';
import { type AclOptions, callerFor, decide, describe, no, warn } from './acl.ts';
import { authOf } from './state-of.ts';

/** @throws Error with one sentence */
function parseTable(file: string, text: string): unknown {
  try {
    return parseYaml(text);
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    throw new Error(`${file}: line ${error.line ?? 1}: ${error.message}`, { cause: error });
  }
}

const expectation = z.strictObject({
  account: z.string().default(''),
  type: z.string().default('repository'),
  repository: z.string(),
  action: z
    .union([z.string(), z.array(z.string())], 'is not an action or a list of actions')
    .transform((value) => [value].flat())
    .refine((list) => list.length > 0, 'names no action')
    .superRefine((list, ctx) => {
      for (const message of list.map(describeInvalidAction)) {
        if (message !== undefined) ctx.addIssue({ code: 'custom', message });
      }
    }),
  ip: z
    .string()
    .default('')
    .refine((text) => text === '' || isIP(text) !== 0, 'is not an IP address'),
  labels: z
    .record(
      z.string(),
      z.union([z.string(), z.array(z.string())]).transform((value) => [value].flat()),
    )
    .default({}),
  at: z.coerce.date('is not a time such as 2030-01-31T12:00:00Z').optional(),
  expect: z.enum(['allowed', 'denied']),
});

/** Compares a table of expectations with the rules. @returns the exit code: 3 if one does not hold */
export async function testRules(file: string, { config, json }: AclOptions): Promise<number> {
  const settings = await authOf(config);
  const policy = createPolicy(settings, warn);
  const table = parseTable(file, await readText(file));
  const parsed = z.array(expectation).safeParse(table);
  if (!parsed.success) {
    const [index] = parsed.error.issues[0]?.path ?? [];
    if (index === undefined) throw new Error(`${file} is not a list of expectations`);
    const messages = parsed.error.issues.map(({ path, ...issue }) => {
      const [entry, ...key] = path;
      const place = [
        `${file}: entry ${Number(entry) + 1}`,
        ...(key.length === 0 ? [] : [key.join('.')]),
      ];
      return `${place.join(': ')}: ${describeIssue({ ...issue, path }, table, Object.keys(expectation.shape))}`;
    });
    throw new Error(messages.join('\n'));
  }
  const failed = [];
  for (const [index, entry] of parsed.data.entries()) {
    if (entry.type === 'repository' && !isRepositoryName(entry.repository)) {
      throw new Error(
        `${file}: entry ${index + 1}: "${entry.repository}" is not a repository name`,
      );
    }
    for (const failure of failuresOf(entry, await callerFor(entry, settings), policy, settings)) {
      failed.push({ entry: index + 1, ...failure });
    }
  }
  const count = parsed.data.reduce((sum, { action }) => sum + action.length, 0);
  if (count === 0) throw new Error(`${file}: has no expectation`);
  if (json) process.stdout.write(`${JSON.stringify({ expectations: count, failed })}\n`);
  else {
    for (const { entry, what, expected, found, why } of failed) {
      process.stdout.write(
        `entry ${entry}: ${what}: expected ${expected}, found ${found}\n  ${why}\n`,
      );
    }
    process.stdout.write(
      failed.length === 0
        ? `all ${count} expectations hold\n`
        : `${failed.length} of ${count} expectations failed\n`,
    );
  }
  return failed.length === 0 ? 0 : no;
}

function failuresOf(
  { account, type, repository, action, at, expect }: z.infer<typeof expectation>,
  caller: Caller,
  policy: Policy,
  settings: AuthSettings,
) {
  return action.flatMap((one) => {
    const { allowed, by } = decide(policy, caller, { type, name: repository, action: one }, at);
    const found = allowed ? 'allowed' : 'denied';
    if (found === expect) return [];
    const what = `${account || 'anonymous'} ${one} ${repository}`;
    const why = describe(by, settings.rules ?? []);
    return [{ what, expected: expect, found, why }];
  });
}
