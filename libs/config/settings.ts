import { dirname, join, resolve } from 'node:path';
import type { AuditDestination } from '#libs/audit/audit-log.ts';
import type { ExternalIssuer } from '#libs/auth/external-issuer-keys.ts';
import type { TlsFiles } from '#libs/http/load-tls.ts';
import type { InternalSettings } from '#libs/internal/open-upstream.ts';
import type { LogFormat } from '#libs/log/format-line.ts';
import type { AccessRule } from '#libs/policy/rule-schema.ts';
import type { RedisSettings } from '#libs/redis/redis-settings.ts';
import { parseAddress } from '../values/listen-address.ts';
import { type DebugSettings, debugSettings } from './debug-settings.ts';
import { externalIssuerSettings } from './external-issuer-settings.ts';
import { type HealthSettings, healthSettings } from './health-settings.ts';
import { internalSettings } from './internal-settings.ts';
import type { LoadedConfiguration } from './load-configuration.ts';
import { redisSettings } from './redis-settings.ts';
import type { Configuration } from './schema/configuration.ts';
import { type SocketPaths, socketPaths } from './socket-paths.ts';
import { type WorkerCounts, workerCounts } from './worker-counts.ts';

/** What the processes act on: the configuration with its defaults, paths absolute, times in ms. */
export interface Settings {
  /** The file it came from; undefined for the built-in configuration. */
  configPath: string | undefined;
  log: {
    level: 'error' | 'warn' | 'info' | 'debug';
    format: LogFormat;
    fields: Record<string, unknown>;
    access: boolean;
  };
  http: {
    listen: { socket: string } | { host?: string; port: number };
    /** Path all routes stand under: empty, or `/x/y` without a slash at the end. */
    prefix: string;
    /** Scheme and host that clients use, if it is fixed: `https://registry.example.com`. */
    publicUrl: string | undefined;
    tls: TlsFiles | undefined;
    /** HTTP/2 beside HTTP/1.1; without `tls` of no effect. */
    http2: boolean;
    /** Sent with every answer. */
    headers: Record<string, string[]>;
    drainTimeout: number;
    /** Time a stopping process goes on as before, having said that it is no longer ready. */
    drainDelay: number;
    idleTimeout: number;
    headersTimeout: number;
    trustedProxies: string[];
    /** Addresses and ranges whose connections begin with a PROXY header; true for everybody's. */
    proxyProtocol: boolean | string[];
  };
  /** Our own token service; without it and without `externalIssuer` there is no authentication at all. */
  auth: AuthSettings | undefined;
  /** Tokens of another server. */
  externalIssuer: ExternalIssuer | undefined;
  storage: { driver: 'filesystem'; root: string } | { driver: 'inmemory' };
  deleteEnabled: boolean;
  /** Nothing is written, and no other core is in the way. */
  readOnly: boolean;
  /** Abandoned uploads: how old, how often; undefined leaves them. */
  uploadPurging: { age: number; interval: number; dryRun: boolean } | undefined;
  /** Collection of garbage, times in ms; without an interval only the command collects. */
  garbage: { interval: number | undefined; delay: number; grace: number; untagged: boolean };
  /** What a manifest refers to and must find in its repository. */
  references: {
    blobs: boolean;
    children: 'all' | 'none' | { os: string; architecture: string }[];
  };
  health: HealthSettings;
  debug: DebugSettings;
  pageSize: { catalog: number; tags: number };
  /** What several cores agree by; undefined: one core alone. */
  redis: RedisSettings | undefined;
  workers: WorkerCounts;
  limits: BudgetSettings;
  sockets: SocketPaths;
  internal: InternalSettings;
  audit: AuditDestination | undefined;
  /** Who serves where root starts; undefined: whoever starts it. */
  user: 'owner' | UserIds | undefined;
}

/** What may be spent at once; docs/configuration.md tells each. */
export interface BudgetSettings {
  core: Configuration['portcullis']['core']['limits'];
  gateway: Configuration['portcullis']['gateway']['limits'];
}

/** A user and a group of the system, by number. */
export interface UserIds {
  uid: number;
  gid: number;
}

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

/** Which process it is that acts on them. */
export interface Place {
  /** Its number among those of its service, from 1. */
  worker?: number;
  /** The folder of the sockets, as its supervisor has it. */
  sockets?: string | undefined;
}

/**
 * The typed view of a loaded configuration.
 * @throws Error with one clear sentence for a value that only shows wrong here
 */
export function toSettings(
  { configuration, path, fileSecret }: LoadedConfiguration,
  { worker = 1, sockets: told }: Place = {},
): Settings {
  const { log, http, storage, portcullis, catalog, tags } = configuration;
  const listen = http.net === 'unix' ? { socket: resolve(http.addr) } : parseAddress(http.addr);
  const root = resolve(storage.filesystem?.rootdirectory ?? '/var/lib/registry');
  const workers = workerCounts(configuration, listen);
  const sockets = socketPaths({
    told,
    configured: portcullis.sockets,
    identity: [path === undefined ? '' : resolve(path), http.addr, root],
    cores: workers.core,
    worker,
  });
  return {
    configPath: path,
    log: {
      level: configuration.loglevel ?? log.level,
      format: log.formatter,
      fields: log.fields,
      access: !log.accesslog.disabled,
    },
    http: {
      listen,
      prefix: http.prefix.replace(/^\/*/, '/').replace(/\/+$/, ''),
      publicUrl: http.host === undefined ? undefined : parsePublicUrl(http.host),
      tls: tlsSettings(http.tls),
      http2: http.http2?.disabled === false,
      headers: http.headers,
      drainTimeout: http.draintimeout,
      drainDelay: portcullis.draindelay,
      idleTimeout: portcullis.gateway.idletimeout,
      headersTimeout: portcullis.gateway.headerstimeout,
      trustedProxies: portcullis.gateway.trustedproxies,
      proxyProtocol: portcullis.gateway.proxyprotocol,
    },
    auth: authSettings(configuration),
    externalIssuer: externalIssuerSettings(configuration.auth?.token),
    storage: storage.filesystem ? { driver: 'filesystem', root } : { driver: 'inmemory' },
    deleteEnabled: storage.delete.enabled,
    readOnly: storage.maintenance.readonly.enabled,
    uploadPurging: purgingSettings(storage.maintenance.uploadpurging),
    garbage: { ...portcullis.gc, interval: portcullis.gc.interval || undefined },
    references: referenceSettings(configuration.validation),
    health: healthSettings(configuration),
    debug: debugSettings(configuration),
    pageSize: {
      catalog: catalog?.maxentries || portcullis.pagesize,
      tags: tags?.maxtags || portcullis.pagesize,
    },
    redis: redisSettings(configuration.redis),
    workers,
    limits: { core: portcullis.core.limits, gateway: portcullis.gateway.limits },
    sockets,
    internal: internalSettings(configuration, { fileSecret, sockets, cores: workers.core, worker }),
    audit: auditSettings(portcullis.audit),
    user: userSettings(portcullis.user),
  };
}

function auditSettings(audit: string | undefined): AuditDestination | undefined {
  if (audit === undefined) return undefined;
  if (audit === 'stdout' || audit === 'stderr') return { path: undefined, stream: audit };
  return { path: resolve(audit), stream: undefined };
}

function userSettings(user: string | undefined): Settings['user'] {
  if (user === undefined || user === 'owner') return user;
  const [uid, gid] = user.split(':').map(Number);
  return { uid: uid ?? 0, gid: gid ?? 0 };
}

function authSettings({
  auth,
  portcullis,
}: LoadedConfiguration['configuration']): AuthSettings | undefined {
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

function purgingSettings({
  enabled,
  age,
  interval,
  dryrun,
}: LoadedConfiguration['configuration']['storage']['maintenance']['uploadpurging']) {
  return enabled ? { age, interval, dryRun: dryrun } : undefined;
}

function referenceSettings(
  validation: LoadedConfiguration['configuration']['validation'],
): Settings['references'] {
  if (validation?.disabled === true) return { blobs: false, children: 'none' };
  const { platforms = 'all', platformlist = [] } = validation?.manifests?.indexes ?? {};
  if (platforms !== 'list') return { blobs: true, children: platforms };
  const children = platformlist.map(({ os = '', architecture = '' }) => ({ os, architecture }));
  if (children.length === 0) {
    throw new Error('validation.manifests.indexes: platforms is "list", but platformlist is empty');
  }
  return { blobs: true, children };
}

function tlsSettings(tls: LoadedConfiguration['configuration']['http']['tls']) {
  if (tls?.certificate === undefined && tls?.key === undefined) return undefined;
  if (tls.certificate === undefined || tls.key === undefined) {
    throw new Error('http.tls: certificate and key belong together; one of them is missing');
  }
  return {
    certificate: resolve(tls.certificate),
    key: resolve(tls.key),
    minVersion: tls.minimumtls === 'tls1.3' ? ('TLSv1.3' as const) : ('TLSv1.2' as const),
    ciphers: tls.ciphersuites ?? [],
  };
}

function parsePublicUrl(host: string): string {
  const url = URL.canParse(host) ? new URL(host) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new Error(`http.host: "${host}" is not a URL such as https://registry.example.com`);
  }
  if (url.pathname !== '/' || url.search !== '') {
    throw new Error(`http.host: "${host}" has a path; a path that all clients use is http.prefix`);
  }
  return url.origin;
}
