import { z } from 'zod';
import { ruleListSchema } from '#libs/policy/rule-schema.ts';
import { count, duration, flag, notEmpty, secret, text, textList } from '../../values/schema.ts';
import { coreLimitsSchema, gatewayLimitsSchema } from './limits.ts';

/** An OIDC issuer whose tokens log in. */
const workload = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,30}$/, 'must be small letters, digits and -')
    .describe('Stands before the subject in the account, such as gitlab:project_path:….'),
  issuer: text.describe('URL of the OIDC issuer.'),
  audience: text.describe('Audience that its tokens must have.'),
  jwks: text
    .optional()
    .describe('File or URL of its keys; without it they are discovered at the issuer.'),
  claims: notEmpty(
    z.record(z.string(), text).default({}),
    'without it every token of the issuer for this audience logs in',
  ).describe('Claims that a token must have, each with a pattern.'),
});

/** What a workload may have. */
export const workloadKeys: readonly string[] = Object.keys(workload.shape);

/** One of docker_auth's `users`; nothing at all stands for an anonymous client there. */
const configuredUser = z.preprocess(
  (value) => value ?? {},
  z.strictObject({
    password: secret.optional().describe('Its bcrypt hash.'),
    labels: z
      .record(z.string(), textList)
      .default({})
      .describe('What rules may look at by match.labels.'),
  }),
);

/** Processes of one service; `auto` is one for each CPU. */
const workers = z
  .union([z.string(), z.number()])
  .transform((value, ctx) => {
    const number = Number(value);
    if (value === 'auto') return value;
    if (Number.isInteger(number) && number >= 1 && number <= 1024) return number;
    ctx.addIssue({ code: 'custom', message: 'must be a whole number from 1 to 1024, or auto' });
    return z.NEVER;
  })
  .default(1);

/** Who serves where root starts: the owner of the storage tree, or a user and group by number. */
const user = z
  .string()
  .regex(/^(?:owner|\d{1,9}:\d{1,9})$/, 'must be owner, or UID:GID such as 1000:1000');

const plain = 'without a certificate everything is sent in the clear';

/** Everything that is ours lives under the key `portcullis`, which distribution ignores. */
export const portcullisSchema = z.object({
  groups: z
    .record(z.string(), z.array(text))
    .default({})
    .describe('Groups of accounts, which rules name as @group.'),
  users: z
    .record(z.string(), configuredUser)
    .default({})
    .describe(
      'Users as docker_auth has them, beside those of the htpasswd file, which count first; changes are taken without a restart.',
    ),
  /** Without it every user may do everything. */
  acl: notEmpty(
    ruleListSchema.optional(),
    '[] grants nothing to anybody, and without the key every user may do everything',
  ),
  token: z
    .object({
      ttl: duration('1m', '24h').default(300_000).describe('How long a token lives.'),
      issuer: text.default('portcullis').describe('Issuer of our tokens.'),
      service: text
        .default('portcullis')
        .describe('Audience of the tokens for this registry, and what a challenge says.'),
      identity: z
        .union([flag, z.enum(['on', 'off']).transform((value) => value === 'on')])
        .default(false)
        .describe('Whether docker login stores an identity token instead of the password.'),
      identityttl: duration('1m', '87600h')
        .default(7_776_000_000)
        .describe('How long an identity token stands for a login.'),
      x5c: flag
        .default(true)
        .describe(
          'Whether tokens show the certificate of their key, for registries with a rootcertbundle.',
        ),
      /** Other registries that tokens are made for, by their `service`. */
      services: z
        .array(
          z.strictObject({
            name: text.describe('Audience of another registry that tokens are made for.'),
            kid: z
              .enum(['rfc7638', 'libtrust'])
              .default('rfc7638')
              .describe(
                'How a token for it names its key; libtrust is the way of distribution 2.8.',
              ),
            x5c: flag
              .default(true)
              .describe('Whether a token for it shows the certificate of its key.'),
          }),
        )
        .default([]),
    })
    .prefault({}),
  /** CI jobs and pods that log in with a token of their OIDC issuer. */
  workloads: z
    .array(workload)
    .refine((list) => new Set(list.map(({ name }) => name)).size === list.length, {
      message: 'two have the same name',
    })
    .default([]),
  audit: text
    .optional()
    .describe('Where decisions are written, a JSON line each: a file, stdout or stderr.'),
  auth: z
    .object({
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
      /** Failed logins within a window, beyond which further ones are not looked at; 0 is no limit. */
      limits: z
        .object({
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
        })
        .prefault({}),
      rehash: z
        .union([flag, z.enum(['auto', 'on', 'off'])])
        .transform((value) => (typeof value === 'boolean' ? (value ? 'on' : 'off') : value))
        .default('auto')
        .describe(
          'Whether hashes that cost less than others are made anew at the next login; auto: in a file of who serves.',
        ),
    })
    .prefault({}),
  core: z
    .object({
      listen: text
        .optional()
        .describe(
          'Address of the core for other machines, such as :5001; without it a Unix socket.',
        ),
      debug: text.optional().describe('Address for its own health checks and metrics.'),
      workers: workers.describe('How many cores run, with redis; auto is one for each CPU.'),
      limits: coreLimitsSchema.prefault({}),
    })
    .prefault({}),
  /** TLS and the shared secret of the links between our own processes on several machines. */
  internal: z
    .object({
      secretfile: text.optional().describe('File that holds what http.secret would.'),
      certificate: notEmpty(text.optional(), plain).describe(
        'File with the certificate of our own processes, for links between machines (PEM).',
      ),
      key: notEmpty(text.optional(), plain).describe('File with its private key (PEM).'),
      rootcas: textList
        .default([])
        .describe(
          'Files of the authorities that may sign the certificates of the others; without it those of the system.',
        ),
    })
    .prefault({}),
  gateway: z
    .object({
      cores: textList
        .default([])
        .describe(
          'Where the cores are: http://host:port, https://… or unix:/path; a name may be many.',
        ),
      auth: textList
        .default([])
        .describe('Where gateways and cores find the token services, in the same form.'),
      trustedproxies: textList
        .default([])
        .describe(
          'Addresses and ranges of the proxies whose X-Forwarded-For, X-Forwarded-Host and X-Request-Id are believed.',
        ),
      proxyprotocol: z
        .union([flag, textList])
        .default(false)
        .describe(
          'Addresses and ranges of the balancers whose connections begin with a PROXY header; true for everybody.',
        ),
      idletimeout: duration('1s', '24h')
        .default(60_000)
        .describe('Time without a byte after which a transfer is given up.'),
      headerstimeout: duration('1s', '1h')
        .default(20_000)
        .describe('How long the headers of a request may take.'),
      workers: workers.describe('How many gateways run; auto is one for each CPU.'),
      limits: gatewayLimitsSchema.prefault({}),
    })
    .prefault({}),
  /** Garbage collection; see docs/garbage-collection.md. */
  gc: z
    .object({
      interval: duration('1s', '8760h', { orZero: true })
        .optional()
        .describe(
          'Time between two collections of garbage; without it, and with 0s, only the command collects.',
        ),
      delay: duration('0s', '876000h')
        .default(3_600_000)
        .describe('Nothing younger than this is garbage.'),
      grace: duration('0s', '876000h')
        .default(86_400_000)
        .describe('How long the trash keeps what was collected.'),
      untagged: flag
        .default(false)
        .describe('Whether manifests are collected that no tag, index or subject keeps.'),
    })
    .prefault({}),
  /**
   * How long a process that gets SIGTERM goes on, not ready, so that nobody sends it more. By default longer than our own
   * gateways and most balancers take to notice, and with `http.draintimeout` within the 10 s that docker gives.
   */
  draindelay: duration('0s', '1h')
    .default(4000)
    .describe(
      'How long a process that gets SIGTERM goes on, not ready, so that nobody sends it more.',
    ),
  sockets: text
    .optional()
    .describe('Folder of the Unix sockets between our processes; only our user may enter it.'),
  user: user
    .optional()
    .describe(
      'Who serves where root starts: owner (of the tree) or UID:GID; without it root itself.',
    ),
  ignore: z
    .array(z.enum(['notifications']))
    .default([])
    .describe('Sections that are not supported, and to start without.'),
  pagesize: count(1, 1_000_000)
    .default(1000)
    .describe('Largest page of the catalog and of a tag list.'),
});
