import { dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import type { AccessRule } from '#libs/policy/rule-schema.ts';
import { nearestWord } from '../../values/nearest-word.ts';
import { count, duration, flag, text } from '../../values/schema.ts';
import type { SupportRow } from '../support-row.ts';
import { externalIssuerSchema } from './external-issuer.ts';
import { type TokenSettings, tokenSettings, type tokensSchema } from './tokens.ts';
import { type ConfiguredUsers, configuredUsers, type usersSchema } from './users.ts';
import { type WorkloadSettings, workloadSettings, type workloadsSchema } from './workloads.ts';

export const authSchema = z.object({
  htpasswd: z
    .object({
      realm: text
        .default('Registry')
        .describe('What a client that asks for Basic authentication is told.'),
      path: text.describe('htpasswd file with bcrypt hashes; changes are taken without a restart.'),
    })
    .optional(),
  token: externalIssuerSchema.optional(),
  silly: z.object({ realm: text.optional(), service: text.optional() }).optional(),
  none: z
    .record(z.string(), z.unknown())
    .optional()
    .describe('Says that there is no authentication, as leaving auth out does.'),
});

/** Failed logins within a window, beyond which further ones are not looked at; 0 is no limit. */
const loginLimitsSchema = z.object({
  window: duration('1s', '720h')
    .default(300_000)
    .describe('Time in which failed logins are counted.'),
  address: count(0, 1_000_000)
    .default(50)
    .describe(
      'Failed logins from one address, or one /64 of IPv6, beyond which none is looked at; twice as many from a /56, four times from a /48; 0 is no limit.',
    ),
  account: count(0, 1_000_000)
    .default(100)
    .describe(
      'Failed logins for one account from addresses where it did not log in lately; beyond, one more from each other network; 0 is no limit.',
    ),
  login: count(0, 1_000_000)
    .default(10)
    .describe('Failed logins for one account from one address; 0 is no limit.'),
  anonymous: count(0, 1_000_000_000)
    .default(20_000)
    .describe(
      'Token requests without a login from one address, counted by each token service; 0 is no limit.',
    ),
});

/** `portcullis.auth`: our own token service. */
export const tokenServiceSchema = z.object({
  state: text
    .optional()
    .describe(
      'Folder of signing keys, robots and revocations; without it portcullis-state beside the htpasswd file.',
    ),
  listen: text
    .optional()
    .describe(
      'Address of the token service for other machines, such as :5002; without it a Unix socket.',
    ),
  debug: text.optional().describe('Address for its own health checks and metrics.'),
  limits: loginLimitsSchema.prefault({}),
  rehash: z
    .union([flag, z.enum(['auto', 'on', 'off'])])
    .transform((value) => (typeof value === 'boolean' ? (value ? 'on' : 'off') : value))
    .default('auto')
    .describe(
      'Whether hashes that cost less than others are made anew at the next login; auto: in a file of who serves.',
    ),
});

/** What there is of accounts and of what they may do. */
interface AccountSections {
  groups: Record<string, string[]>;
  users: z.infer<typeof usersSchema>;
  acl?: AccessRule[] | undefined;
  token: z.infer<typeof tokensSchema>;
  workloads: z.infer<typeof workloadsSchema>;
  auth: z.infer<typeof tokenServiceSchema>;
}

type Section = z.infer<typeof authSchema>;

/** What the token service acts on. */
export interface AuthSettings extends TokenSettings {
  realm: string;
  htpasswd: string;
  /** Users of the configuration itself, by name. */
  users: ConfiguredUsers;
  state: string;
  groups: Record<string, string[]>;
  /** Undefined: every user may do everything, as htpasswd means in distribution. */
  rules: AccessRule[] | undefined;
  limits: LimitSettings;
  /** Whether cheap hashes are made anew: auto only in a file that belongs to who serves, who is not root. */
  rehash: 'auto' | 'on' | 'off';
  workloads: WorkloadSettings[];
}

/** Failed logins, and token requests without a login, in `window` milliseconds; 0 is no limit. */
export interface LimitSettings {
  window: number;
  perAddress: number;
  perAccount: number;
  perLogin: number;
  perAnonymous: number;
}

/** @returns undefined where the registry makes no tokens of its own */
export function authSettings(
  section: Section | undefined,
  { groups, users, acl, token, workloads, auth }: AccountSections,
): AuthSettings | undefined {
  if (section?.htpasswd === undefined) return undefined;
  const htpasswd = resolve(section.htpasswd.path);
  const { window, address, account, login, anonymous } = auth.limits;
  return {
    ...tokenSettings(token),
    realm: section.htpasswd.realm,
    htpasswd,
    users: configuredUsers(users),
    state: resolve(auth.state ?? join(dirname(htpasswd), 'portcullis-state')),
    groups,
    rules: acl,
    limits: {
      window,
      perAddress: address,
      perAccount: account,
      perLogin: login,
      perAnonymous: anonymous,
    },
    rehash: auth.rehash,
    workloads: workloadSettings(workloads),
  };
}

/**
 * What is wrong with the choice of the method.
 * @param written the section as it was written
 */
export function checkMethod(auth: Section | undefined, written: unknown): string[] {
  const methods = Object.keys(auth ?? {});
  if (auth === undefined || methods.length === 1) return [];
  const known = Object.keys(authSchema.shape);
  const slip = Object.keys(Object(written)).flatMap((key) => {
    const near = known.includes(key) ? undefined : nearestWord(key, known);
    return near === undefined ? [] : [`; ${key}: did you mean ${near}?`];
  });
  return [
    `auth: name exactly one method, such as htpasswd (found: ${methods.join(', ') || 'none'})${slip[0] ?? ''}`,
  ];
}

export const authSupport: readonly SupportRow<Section | undefined>[] = [
  [
    'auth.silly',
    'stop',
    'silly accepts everyone who sends any password; leave auth out for an open registry',
    (auth) => auth?.silly,
  ],
];
