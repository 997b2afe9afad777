import { z } from 'zod';
import { describeInvalidAction } from '#libs/access/actions.ts';
import { emptyAllowed, notEmpty, text, textList } from '#libs/values/schema.ts';

/** What a token may be about. */
export const tokenTypes: readonly string[] = ['repository', 'registry'];

/** What is left out of a rule matches everything, so nothing of it is taken for left out. */
const everything = 'a field that is left out matches everything';

/** Which requests a rule is about; what is left out matches everything. */
const match = z.strictObject({
  account: emptyAllowed(text.optional()).describe('Account, or @group; "" is an anonymous client.'),
  type: notEmpty(text.optional(), everything).describe(
    'Type of the resource: repository or registry.',
  ),
  name: notEmpty(text.optional(), everything).describe('Name of the repository, as a pattern.'),
  service: notEmpty(text.optional(), everything).describe(
    'Registry that the token is for, as a pattern.',
  ),
  ip: notEmpty(textList.optional(), everything).describe(
    'Address of the client: one, a range, or several of them.',
  ),
  labels: notEmpty(z.record(z.string(), text).optional(), everything).describe(
    'Labels of a user in portcullis.users or claims of a workload, each with a pattern for one of its values.',
  ),
  /** When it holds: `days: mon-fri`, `hours: 08:00-18:00`, `zone: Europe/Berlin`. */
  time: notEmpty(
    z
      .strictObject({
        days: notEmpty(text.optional(), 'without it every day counts').describe(
          'Days on which it holds, such as mon-fri,sun.',
        ),
        hours: notEmpty(text.optional(), 'without it every hour counts').describe(
          'Hours in which it holds, such as 08:00-18:00.',
        ),
        zone: text.default('UTC').describe('Time zone of both, such as Europe/Berlin.'),
      })
      .optional(),
    everything,
  ),
});

/** The actions of a rule; none at all is a rule that grants nothing. */
const actionList = textList.superRefine((list, ctx) => {
  for (const action of list) {
    const message = describeInvalidAction(action);
    if (message !== undefined) ctx.addIssue({ code: 'custom', message });
  }
});

/** One access rule in docker_auth's form; see docs/access-control.md. */
const rule = z.strictObject({
  match: notEmpty(match.prefault({}), everything),
  actions: actionList.describe('What is allowed or denied: pull, push, delete, or *.'),
  effect: notEmpty(z.enum(['allow', 'deny']).optional(), 'without it a rule allows').describe(
    'Whether it allows; deny decides about the actions that it lists, and about no others.',
  ),
  comment: text.optional().describe('For whoever reads the file, and the log of decisions.'),
});

/** What the match of a rule may have. */
export const matchKeys: readonly string[] = Object.keys(match.shape);

/** What a rule and its match may have. */
export const ruleKeys: readonly string[] = [...Object.keys(rule.shape), ...matchKeys];

export const ruleListSchema = z.array(rule);

export type AccessRule = z.infer<typeof rule>;
