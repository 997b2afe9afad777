import { z } from 'zod';
import { ruleListSchema } from '#libs/policy/rule-schema.ts';
import { count, duration, flag, notEmpty, text, textList } from '../../values/schema.ts';
import { coreLimitsSchema, gatewayLimitsSchema } from './limits.ts';

/** An OIDC issuer whose tokens log in. */
const workload = z.strictObject({
  /** Stands before the subject in the account: `gitlab:project_path:…`. */
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,30}$/, 'must be small letters, digits and -'),
  issuer: text,
  audience: text,
  /** Path or address of its keys; without it they are discovered at the issuer. */
  jwks: text.optional(),
  /** Claims that a token must have, each with a pattern. */
  claims: notEmpty(
    z.record(z.string(), text).default({}),
    'without it every token of the issuer for this audience logs in',
  ),
});

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
  groups: z.record(z.string(), z.array(text)).default({}),
  /** Without it every user may do everything. */
  acl: notEmpty(
    ruleListSchema.optional(),
    '[] grants nothing to anybody, and without the key every user may do everything',
  ),
  token: z
    .object({
      /** At most a day: revocations are kept for two. */
      ttl: duration('1m', '24h').default(300_000),
      issuer: text.default('portcullis'),
      service: text.default('portcullis'),
      /** Whether `GET …offline_token=true` gives an identity token, which docker then stores instead of the password. */
      identity: z
        .union([flag, z.enum(['on', 'off']).transform((value) => value === 'on')])
        .default(false),
      /** How long an identity token stands for a login. */
      identityttl: duration('1m', '87600h').default(7_776_000_000),
      /** Tokens show the certificate of their key, for registries with a rootcertbundle. */
      x5c: flag.default(true),
      /** Other registries that tokens are made for, by their `service`. */
      services: z
        .array(
          z.strictObject({
            name: text,
            /** How the token names its key; libtrust is distribution 2.8's own way. */
            kid: z.enum(['rfc7638', 'libtrust']).default('rfc7638'),
            x5c: flag.default(true),
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
  /** Where decisions are written, a JSON line each: a path, `stdout` or `stderr`. */
  audit: text.optional(),
  auth: z
    .object({
      state: text.optional(),
      /** Address for other machines, such as `:5002`; without it a Unix socket. */
      listen: text.optional(),
      /** Address of auth's own debug server. */
      debug: text.optional(),
      /** Failed logins within a window, beyond which further ones are not looked at; 0 is no limit. */
      limits: z
        .object({
          window: duration('1s', '720h').default(300_000),
          /** From one address, or one /64 of IPv6; twice as many from a /56, four times from a /48. */
          address: count(0, 1_000_000).default(50),
          /** For one account, from addresses where it did not log in lately; beyond, once from each other network. */
          account: count(0, 1_000_000).default(100),
          /** For one account from one address. */
          login: count(0, 1_000_000).default(10),
          /** Token requests without a login from one address, counted by each token service. */
          anonymous: count(0, 1_000_000_000).default(20_000),
        })
        .prefault({}),
      /** Whether hashes that cost less than others are made anew at the next login; auto: in a file of who serves. */
      rehash: z
        .union([flag, z.enum(['auto', 'on', 'off'])])
        .transform((value) => (typeof value === 'boolean' ? (value ? 'on' : 'off') : value))
        .default('auto'),
    })
    .prefault({}),
  core: z
    .object({
      /** Address for other machines, such as `:5001`; without it a Unix socket. */
      listen: text.optional(),
      /** Address of the core's own debug server. */
      debug: text.optional(),
      workers,
      limits: coreLimitsSchema.prefault({}),
    })
    .prefault({}),
  /** TLS and the shared secret of the links between our own processes on several machines. */
  internal: z
    .object({
      /** A file that holds what `http.secret` would. */
      secretfile: text.optional(),
      certificate: notEmpty(text.optional(), plain),
      key: notEmpty(text.optional(), plain),
      rootcas: textList.default([]),
    })
    .prefault({}),
  gateway: z
    .object({
      /** Where the cores are: `http://host:port`, `https://…` or `unix:/path`; a name may be many. */
      cores: textList.default([]),
      /** Where gateways and cores find the token services. */
      auth: textList.default([]),
      trustedproxies: textList.default([]),
      /** Whose connections begin with a PROXY header; true for everybody's. */
      proxyprotocol: z.union([flag, textList]).default(false),
      /** Time without a byte after which a transfer is given up. */
      idletimeout: duration('1s', '24h').default(60_000),
      /** Time for a request's headers to arrive. */
      headerstimeout: duration('1s', '1h').default(20_000),
      workers,
      limits: gatewayLimitsSchema.prefault({}),
    })
    .prefault({}),
  /** Garbage collection; see docs/garbage-collection.md. */
  gc: z
    .object({
      /** Time between two collections of the core; without it, and with 0s, only the command collects. */
      interval: duration('1s', '8760h', { orZero: true }).optional(),
      /** Nothing younger than this is garbage. */
      delay: duration('0s', '876000h').default(3_600_000),
      /** How long the trash keeps what was collected. */
      grace: duration('0s', '876000h').default(86_400_000),
      /** Also collects manifests that no tag, index or subject keeps. */
      untagged: flag.default(false),
    })
    .prefault({}),
  /**
   * How long a process that gets SIGTERM goes on, not ready, so that nobody sends it more. By default longer than our own
   * gateways and most balancers take to notice, and with `http.draintimeout` within the 10 s that docker gives.
   */
  draindelay: duration('0s', '1h').default(4000),
  /** Folder of the Unix sockets between our processes; only our user may enter it. */
  sockets: text.optional(),
  /** Started as root, it serves as this user; without it as whoever starts it. */
  user: user.optional(),
  /** Unsupported sections to start without. */
  ignore: z.array(z.enum(['notifications'])).default([]),
  /** Largest page of the catalog and of a tag list when the sections of that name are absent. */
  pagesize: count(1, 1_000_000).default(1000),
});
