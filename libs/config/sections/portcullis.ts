import { z } from 'zod';
import { ruleListSchema } from '#libs/policy/rule-schema.ts';
import { duration, notEmpty, text } from '../../values/schema.ts';
import { auditSchema } from './audit.ts';
import { tokenServiceSchema } from './auth.ts';
import { coreSchema } from './core.ts';
import { garbageCollectionSchema } from './garbage-collection.ts';
import { gatewaySchema } from './gateway.ts';
import { internalSchema } from './internal-links.ts';
import { pageSizeSchema } from './pages.ts';
import { socketsSchema } from './socket-paths.ts';
import { tokensSchema } from './tokens.ts';
import { userSchema } from './user.ts';
import { usersSchema } from './users.ts';
import { workloadsSchema } from './workloads.ts';

/** Everything that is ours lives under the key `portcullis`, which distribution ignores. */
export const portcullisSchema = z.object({
  groups: z
    .record(z.string(), z.array(text))
    .default({})
    .describe('Groups of accounts, which rules name as @group.'),
  users: usersSchema,
  /** Without it every user may do everything. */
  acl: notEmpty(
    ruleListSchema.optional(),
    '[] grants nothing to anybody, and without the key every user may do everything',
  ),
  token: tokensSchema.prefault({}),
  workloads: workloadsSchema,
  audit: auditSchema,
  auth: tokenServiceSchema.prefault({}),
  core: coreSchema.prefault({}),
  internal: internalSchema.prefault({}),
  gateway: gatewaySchema.prefault({}),
  gc: garbageCollectionSchema.prefault({}),
  /**
   * How long a process that gets SIGTERM goes on, not ready, so that nobody sends it more. By default longer than our own
   * gateways and most balancers take to notice, and with `http.draintimeout` within the 10 s that docker gives.
   */
  draindelay: duration('0s', '1h')
    .default(4000)
    .describe(
      'How long a process that gets SIGTERM goes on, not ready, so that nobody sends it more.',
    ),
  sockets: socketsSchema,
  user: userSchema,
  ignore: z
    .array(z.enum(['notifications']))
    .default([])
    .describe('Sections that are not supported, and to start without.'),
  pagesize: pageSizeSchema,
});
