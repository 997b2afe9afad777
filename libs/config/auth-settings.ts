import { dirname, join, resolve } from 'node:path';
import type { AccessRule } from '#libs/policy/rule-schema.ts';
import { isAccountName, isBcryptHash } from '#libs/values/account.ts';
import type { Configuration } from './schema/configuration.ts';

/** A registry that tokens are made for. */
export interface TokenService {
  name: string;
  /** How the token names its key. */
  kid: 'rfc7638' | 'libtrust';
  /** Whether the token shows the key's certificate. */
  x5c: boolean;
}

export interface AuthSettings {
  realm: string;
  htpasswd: string;
  /** Users of the configuration itself, by name. */
  users: ConfiguredUsers;
  state: string;
  issuer: string;
  /** The one that this registry's own tokens are for. */
  service: string;
  /** Everyone that tokens are made for, the own service first. */
  services: [TokenService, ...TokenService[]];
  /** Milliseconds a token lives. */
  tokenTtl: number;
  groups: Record<string, string[]>;
  /** Undefined: every user may do everything, as htpasswd means in distribution. */
  rules: AccessRule[] | undefined;
  /** Identity tokens: whether GET gives them, and how long they live in milliseconds. */
  identity: { onGet: boolean; ttl: number };
  limits: LimitSettings;
  /** Whether cheap hashes are made anew: auto only in a file that belongs to who serves, who is not root. */
  rehash: 'auto' | 'on' | 'off';
  workloads: WorkloadSettings[];
}

/** A user whose hash stands in the configuration. */
export interface ConfiguredUser {
  /** Of bcrypt. */
  hash: string;
  labels: Record<string, string[]>;
}

export type ConfiguredUsers = ReadonlyMap<string, ConfiguredUser>;

/** Failed logins, and token requests without a login, in `window` milliseconds; 0 is no limit. */
export interface LimitSettings {
  window: number;
  perAddress: number;
  perAccount: number;
  perLogin: number;
  perAnonymous: number;
}

/** An OIDC issuer whose tokens log in. */
export interface WorkloadSettings {
  name: string;
  issuer: string;
  audience: string;
  /** Path or address; undefined: discovered at the issuer. */
  jwks: string | undefined;
  /** Claims that a token must have, each with a pattern. */
  claims: Record<string, string>;
}

/** @returns undefined where the registry makes no tokens of its own */
export function authSettings({ auth, portcullis }: Configuration): AuthSettings | undefined {
  if (auth?.htpasswd === undefined) return undefined;
  const htpasswd = resolve(auth.htpasswd.path);
  return {
    realm: auth.htpasswd.realm,
    htpasswd,
    users: configuredUsers(portcullis.users),
    state: resolve(portcullis.auth.state ?? join(dirname(htpasswd), 'portcullis-state')),
    issuer: portcullis.token.issuer,
    service: portcullis.token.service,
    services: [
      { name: portcullis.token.service, kid: 'rfc7638' as const, x5c: portcullis.token.x5c },
      ...portcullis.token.services,
    ],
    tokenTtl: portcullis.token.ttl,
    groups: portcullis.groups,
    rules: portcullis.acl,
    identity: { onGet: portcullis.token.identity, ttl: portcullis.token.identityttl },
    limits: {
      window: portcullis.auth.limits.window,
      perAddress: portcullis.auth.limits.address,
      perAccount: portcullis.auth.limits.account,
      perLogin: portcullis.auth.limits.login,
      perAnonymous: portcullis.auth.limits.anonymous,
    },
    rehash: portcullis.auth.rehash,
    workloads: portcullis.workloads.map(({ jwks, ...rest }) => ({
      ...rest,
      jwks: jwks === undefined || /^https?:/i.test(jwks) ? jwks : resolve(jwks),
    })),
  };
}

/** @throws Error with one clear sentence for a user who could not log in as docker_auth has it, or whom anybody could be */
function configuredUsers(given: Configuration['portcullis']['users']): ConfiguredUsers {
  const users = new Map<string, ConfiguredUser>();
  for (const [name, { password, labels }] of Object.entries(given)) {
    // Clients that do not log in: what they may do, rules say.
    if (name === '' && password === undefined) continue;
    const key = `portcullis.users.${name}`;
    if (!isAccountName(name)) throw new Error(`${key}: is not a user name`);
    const hash = password?.reveal().trim();
    if (hash === undefined) {
      throw new Error(
        `${key}: has no password, so anybody could log in; give it a bcrypt hash (htpasswd -nB ${name})`,
      );
    }
    if (!isBcryptHash(hash)) throw new Error(`${key}.password: is not a bcrypt hash`);
    users.set(name, { hash, labels });
  }
  return users;
}
