import { z } from 'zod';
import { describeInvalidAction } from '#libs/access/actions.ts';
import { emptyAllowed, notEmpty, text, textList } from '#libs/values/schema.ts';

/** What is left out of a rule matches everything, so nothing of it is taken for left out. */
const everything = 'a field that is left out matches everything';

/** Which requests a rule is about; what is left out matches everything. */
const match = z.strictObject({
  /** `""` is an anonymous client. */
  account: emptyAllowed(text.optional()),
  type: notEmpty(text.optional(), everything),
  name: notEmpty(text.optional(), everything),
  service: notEmpty(text.optional(), everything),
  /** The client's address: one, a range, or several of them. */
  ip: notEmpty(textList.optional(), everything),
  /** Labels of the account or claims of the workload, each with a pattern for one of its values. */
  labels: notEmpty(z.record(z.string(), text).optional(), everything),
  /** When it holds: `days: mon-fri`, `hours: 08:00-18:00`, `zone: Europe/Berlin`. */
  time: notEmpty(
    z
      .strictObject({
        days: notEmpty(text.optional(), 'without it every day counts'),
        hours: notEmpty(text.optional(), 'without it every hour counts'),
        zone: text.default('UTC'),
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
  actions: actionList,
  /** A denying rule decides about the actions it lists, and about no others. */
  effect: notEmpty(z.enum(['allow', 'deny']).optional(), 'without it a rule allows'),
  comment: text.optional(),
});

export const ruleListSchema = z.array(rule);

export type AccessRule = z.infer<typeof rule>;
