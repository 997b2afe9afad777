import { resolve } from 'node:path';
import type { AuditDestination } from '#libs/audit/audit-log.ts';
import type { ExternalIssuer } from '#libs/auth/external-issuer-keys.ts';
import type { InternalSettings } from '#libs/internal/open-upstream.ts';
import type { LogFormat } from '#libs/log/format-line.ts';
import type { RedisSettings } from '#libs/redis/redis-settings.ts';
import { parseAddress } from '../values/listen-address.ts';
import { type AuthSettings, authSettings } from './auth-settings.ts';
import { type DebugSettings, debugSettings } from './debug-settings.ts';
import { externalIssuerSettings } from './external-issuer-settings.ts';
import { type HealthSettings, healthSettings } from './health-settings.ts';
import { type HttpSettings, httpSettings } from './http-settings.ts';
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
  http: HttpSettings;
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
    http: httpSettings(configuration, listen),
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
