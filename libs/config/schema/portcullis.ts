import { z } from 'zod';
import { count, duration, flag, text, textList } from './values.ts';

const addresses = z.union([text, z.array(text)]).transform((value) => [value].flat());

/** Which requests a rule is about; what is left out matches everything. */
const match = z.strictObject({
  account: text.optional(),
  type: text.optional(),
  name: text.optional(),
  service: text.optional(),
  /** The client's address: one, a range, or several of them. */
  ip: addresses.optional(),
  /** Labels of the account or claims of the workload, each with a pattern for one of its values. */
  labels: z.record(z.string(), text).optional(),
  /** When it holds: `days: mon-fri`, `hours: 08:00-18:00`, `zone: Europe/Berlin`. */
  time: z
    .strictObject({
      days: text.optional(),
      hours: text.optional(),
      zone: text.default('UTC'),
    })
    .optional(),
});

/** One access rule in docker_auth's form; see docs/access-control.md. */
const rule = z.strictObject({
  match: match.prefault({}),
  actions: textList,
  /** A denying rule decides about the actions it lists, and about no others. */
  effect: z.enum(['allow', 'deny']).optional(),
  comment: text.optional(),
});

export const ruleListSchema = z.array(rule);

export type AccessRule = z.infer<typeof rule>;

/** An OIDC issuer whose tokens log in. */
const workload = z.strictObject({
  /** Stands before the subject in the account: `gitlab:project_path:…`. */
  name: z.string().regex(/^[a-z0-9][a-z0-9-]{0,30}$/, 'must be small letters, digits and -'),
  issuer: text,
  audience: text,
  /** Path or address of its keys; without it they are discovered at the issuer. */
  jwks: text.optional(),
  /** Claims that a token must have, each with a pattern. */
  claims: z.record(z.string(), text).default({}),
});

/** Processes of one service; `auto` is one for each CPU. */
const workers = z
  .union([z.string(), z.number()])
  .transform((value, ctx) => {
    const number = Number(value);
    if (value === 'auto') return value;
    if (Number.isInteger(number) && number >= 1) return number;
    ctx.addIssue({ code: 'custom', message: 'must be a whole number from 1 on, or auto' });
    return z.NEVER;
  })
  .default(1);

/** Who serves where root starts: the owner of the storage tree, or a user and group by number. */
const user = z
  .string()
  .regex(/^(?:owner|\d{1,9}:\d{1,9})$/, 'must be owner, or UID:GID such as 1000:1000');

/** Everything that is ours lives under the key `portcullis`, which distribution ignores. */
export const portcullisSchema = z.object({
  groups: z.record(z.string(), z.array(text)).default({}),
  acl: ruleListSchema.optional(),
  token: z
    .object({
      /** At most a day: revocations are kept for two. */
      ttl: duration
        .refine((ms) => ms >= 60_000 && ms <= 86_400_000, { message: 'must be from 1m to 24h' })
        .default(300_000),
      issuer: text.default('portcullis'),
      service: text.default('portcullis'),
      /** Whether `GET …offline_token=true` gives an identity token, which docker then stores instead of the password. */
      identity: z
        .union([flag, z.enum(['on', 'off']).transform((value) => value === 'on')])
        .default(false),
      /** How long an identity token stands for a login. */
      identityttl: duration.default(7_776_000_000),
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
      /** Wrong passwords within a window, beyond which further ones are not compared; 0 is no limit. */
      limits: z
        .object({
          window: duration
            .refine((ms) => ms >= 1000, { message: 'must be at least 1s' })
            .default(300_000),
          /** From one address, or one /64 of IPv6. */
          address: count.default(50),
          /** For one account, from addresses where it did not log in lately. */
          account: count.default(100),
          /** For one account from one address. */
          login: count.default(10),
        })
        .prefault({}),
    })
    .prefault({}),
  core: z
    .object({
      /** Address for other machines, such as `:5001`; without it a Unix socket. */
      listen: text.optional(),
      /** Address of the core's own debug server. */
      debug: text.optional(),
      workers,
    })
    .prefault({}),
  /** Certificate of the addresses above, and who signs those of the others. */
  hop: z
    .object({
      /** A file that holds what `http.secret` would. */
      secretfile: text.optional(),
      certificate: text.optional(),
      key: text.optional(),
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
      idletimeout: duration.default(60_000),
      /** Time for a request's headers to arrive. */
      headerstimeout: duration.default(20_000),
      workers,
    })
    .prefault({}),
  /** Garbage collection; see docs/garbage-collection.md. */
  gc: z
    .object({
      /** Time between two collections of the core; without it only the command collects. */
      interval: duration
        .refine((ms) => ms === 0 || ms >= 1000, { message: 'must be at least 1s' })
        .optional(),
      /** Nothing younger than this is garbage. */
      delay: duration.default(3_600_000),
      /** How long the trash keeps what was collected. */
      grace: duration.default(86_400_000),
      /** Also collects manifests that no tag, index or subject keeps. */
      untagged: flag.default(false),
    })
    .prefault({}),
  /** How long a process that was told to stop goes on, not ready, so that nobody sends it more. */
  draindelay: duration.default(0),
  /** Folder of the Unix sockets between our processes; only our user may enter it. */
  sockets: text.optional(),
  /** Started as root, it serves as this user; without it as whoever starts it. */
  user: user.optional(),
  /** Unsupported sections to start without. */
  ignore: z.array(z.enum(['notifications'])).default([]),
  /** Largest page of the catalog and of a tag list when the sections of that name are absent. */
  pagesize: count.default(1000),
});
