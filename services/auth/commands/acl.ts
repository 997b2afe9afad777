import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { parse } from 'yaml';
import { z } from 'zod';
import { describeInvalidAction } from '#libs/access/actions.ts';
import type { AuthSettings } from '#libs/config/auth-settings.ts';
import { type Caller, callerOf } from '#libs/policy/caller.ts';
import { createPolicy } from '#libs/policy/create-policy.ts';
import type { DecidedBy, Policy } from '#libs/policy/policy.ts';
import { UsageError } from '#libs/process/usage-error.ts';
import { authOf } from './state-of.ts';

export const aclUsage = `usage: portcullis acl explain --account NAME --repository NAME --action ACTION
                              [--ip ADDRESS] [--label KEY=VALUE]... [--config CONFIG]
       portcullis acl test FILE [--config CONFIG]

explain  says whether an account may do something, which rule decided, and why the rules above it
         were not about it. Without --account it asks for somebody who did not log in; --type registry
         --repository catalog --action '*' asks for the whole catalog. Exit code 3 if it may not.
test     compares a table of expectations with the rules; exit code 3 if one does not hold. FILE:

           - { account: bob, repository: bob/app, action: push, expect: allowed }
           - { account: bob, repository: prod/app, action: delete, ip: 10.0.0.7, expect: denied }
           - { labels: { project_path: team/app }, account: "gitlab:x", repository: team/app, action: push, expect: allowed }

CONFIG is found as by 'serve'.
`;

/** The answer is no, or an expectation does not hold. */
const no = 3;

const options = {
  account: { type: 'string', default: '' },
  repository: { type: 'string' },
  type: { type: 'string', default: 'repository' },
  action: { type: 'string', multiple: true },
  ip: { type: 'string', default: '' },
  label: { type: 'string', multiple: true },
  config: { type: 'string' },
} as const;

/** `acl explain` and `acl test`: the rules, asked as the service asks them. */
export async function acl(args: string[]): Promise<number> {
  const { values, positionals } = parseArgs({ args, options, allowPositionals: true });
  const [command, file, ...more] = positionals;
  const settings = await authOf(values.config);
  const policy = createPolicy(settings, (message) => process.stderr.write(`${message}\n`));
  if (command === 'test' && file !== undefined && more.length === 0) {
    return await testRules(policy, settings, file);
  }
  const { account, repository, action, ip, type } = values;
  if (command !== 'explain' || file !== undefined || !repository || !action) {
    throw new UsageError(aclUsage.trimEnd());
  }
  for (const one of action) {
    const why = describeInvalidAction(one);
    if (why !== undefined) throw new UsageError(`--action: ${why}`);
  }
  const labels = parseLabels(values.label ?? []);
  const caller = callerOf(account, { client: ip, service: settings.service, labels });
  const answers = action.map((one) => explain(policy, settings, caller, { type, repository }, one));
  process.stdout.write(answers.map(({ text }) => text).join('\n'));
  return answers.every(({ allowed }) => allowed) ? 0 : no;
}

function explain(
  policy: Policy,
  { rules = [] }: AuthSettings,
  caller: Caller,
  { type, repository }: { type: string; repository: string },
  action: string,
): { allowed: boolean; text: string } {
  const wanted = { type, name: repository, actions: [action] };
  const { granted, by } = policy.decide(caller, wanted);
  const allowed = granted.length > 0;
  const decidedBy = by.get(action) ?? 'no rule';
  const who = caller.account === '' ? 'an anonymous client' : caller.account;
  const lines = [
    `${who} ${allowed ? 'may' : 'may not'} ${action} ${type === 'repository' ? '' : `${type} `}${repository}`,
    `  ${describe(decidedBy, rules)}`,
  ];
  for (const { index, mismatch, effect, actions } of policy.report(caller, wanted)) {
    if (typeof decidedBy === 'number' && index >= decidedBy) break;
    const why =
      mismatch ?? `it ${effect === 'deny' ? 'denies' : 'allows'} ${actions.join(', ')} only`;
    lines.push(`  skipped: acl[${index}]: ${why}`);
  }
  return { allowed, text: `${lines.join('\n')}\n` };
}

function describe(by: DecidedBy, rules: NonNullable<AuthSettings['rules']>): string {
  if (by === 'no rule') return 'because no rule matches';
  if (by === 'every user') return 'because there are no rules: who can log in may do everything';
  if (by === 'robot') return 'because of what the robot was made for';
  const { match, actions, effect, comment } = rules[by] ?? { match: {}, actions: [] };
  const text = JSON.stringify({ match, actions, ...(effect === undefined ? {} : { effect }) });
  return `because of acl[${by}] ${text}${comment === undefined ? '' : `  # ${comment}`}`;
}

const expectation = z.strictObject({
  account: z.string().default(''),
  type: z.string().default('repository'),
  repository: z.string(),
  action: z
    .union([z.string(), z.array(z.string())])
    .transform((value) => [value].flat())
    .superRefine((list, ctx) => {
      for (const message of list.map(describeInvalidAction)) {
        if (message !== undefined) ctx.addIssue({ code: 'custom', message });
      }
    }),
  ip: z.string().default(''),
  labels: z
    .record(
      z.string(),
      z.union([z.string(), z.array(z.string())]).transform((value) => [value].flat()),
    )
    .default({}),
  at: z.coerce.date().optional(),
  expect: z.enum(['allowed', 'denied']),
});

async function testRules(policy: Policy, settings: AuthSettings, file: string): Promise<number> {
  const parsed = z.array(expectation).safeParse(parse(await readFile(file, 'utf8')));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new Error(`${file}: entry ${issue?.path.join('.')}: ${issue?.message}`);
  }
  let failed = 0;
  parsed.data.forEach(({ account, type, repository, action, ip, labels, at, expect }, index) => {
    const caller = callerOf(account, { client: ip, service: settings.service, labels });
    for (const one of action) {
      const { granted, by } = policy.decide(caller, { type, name: repository, actions: [one] }, at);
      const found = granted.length > 0 ? 'allowed' : 'denied';
      if (found === expect) continue;
      failed += 1;
      const what = `${account || 'anonymous'} ${one} ${repository}`;
      const why = describe(by.get(one) ?? 'no rule', settings.rules ?? []);
      process.stdout.write(
        `entry ${index}: ${what}: expected ${expect}, found ${found}\n  ${why}\n`,
      );
    }
  });
  const count = parsed.data.length;
  process.stdout.write(
    failed === 0
      ? `all ${count} expectations hold\n`
      : `${failed} of ${count} expectations failed\n`,
  );
  return failed === 0 ? 0 : no;
}

function parseLabels(given: readonly string[]): Record<string, string[]> {
  const labels: Record<string, string[]> = {};
  for (const text of given) {
    const [key = '', ...value] = text.split('=');
    if (key === '' || value.length === 0) {
      throw new UsageError(`--label ${text} is not of the form KEY=VALUE`);
    }
    labels[key] = [...(labels[key] ?? []), value.join('=')];
  }
  return labels;
}
