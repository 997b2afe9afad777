import { dirname, join, resolve } from 'node:path';
import type { AccessRule } from '#libs/policy/rule-schema.ts';
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
