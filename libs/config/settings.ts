import { resolve } from 'node:path';
import type { AuditDestination } from '#libs/audit/audit-log.ts';
import type { ExternalIssuer } from '#libs/auth/external-issuer-keys.ts';
import type { InternalSettings } from '#libs/internal/settings.ts';
import type { RedisSettings } from '#libs/redis/redis-settings.ts';
import { fromParts } from './from-parts.ts';
import type { LoadedConfiguration } from './load-configuration.ts';
import { auditSettings } from './sections/audit.ts';
import { type AuthSettings, authSettings } from './sections/auth.ts';
import type { CoreLimits } from './sections/core.ts';
import { type DebugSettings, debugSettings } from './sections/debug.ts';
import { externalIssuerSettings } from './sections/external-issuer.ts';
import {
  type GarbageCollectionSettings,
  garbageCollectionSettings,
} from './sections/garbage-collection.ts';
import { type GatewaySettings, gatewaySettings } from './sections/gateway.ts';
import { type HealthSettings, healthSettings } from './sections/health.ts';
import { type HttpSettings, httpSettings } from './sections/http.ts';
import { internalSettings } from './sections/internal-links.ts';
import { type LogSettings, logSettings } from './sections/log.ts';
import { type PageSizes, pageSizes } from './sections/pages.ts';
import { redisSettings } from './sections/redis.ts';
import { type SocketPaths, socketPaths } from './sections/socket-paths.ts';
import { type StorageSettings, storageRoot, storageSettings } from './sections/storage.ts';
import { type UserSetting, userSetting } from './sections/user.ts';
import { type ReferenceSettings, referenceSettings } from './sections/validation.ts';
import { type WorkerCounts, workerCounts } from './sections/workers.ts';

/** What the processes act on: the configuration with its defaults, paths absolute, times in ms. */
export interface Settings extends StorageSettings {
  /** The file it came from; undefined for the built-in configuration. */
  configPath: string | undefined;
  log: LogSettings;
  http: HttpSettings;
  gateway: GatewaySettings;
  core: { limits: CoreLimits };
  /** Our own token service; without it and without `externalIssuer` there is no authentication at all. */
  auth: AuthSettings | undefined;
  /** Tokens of another server. */
  externalIssuer: ExternalIssuer | undefined;
  garbage: GarbageCollectionSettings;
  references: ReferenceSettings;
  health: HealthSettings;
  debug: DebugSettings;
  pageSize: PageSizes;
  /** What several cores agree by; undefined: one core alone. */
  redis: RedisSettings | undefined;
  workers: WorkerCounts;
  /** Time a stopping process goes on as before, having said that it is no longer ready. */
  drainDelay: number;
  sockets: SocketPaths;
  internal: InternalSettings;
  audit: AuditDestination | undefined;
  user: UserSetting;
}

/** Which process it is that acts on them. */
export interface ProcessInstance {
  /** Its number among those of its service, from 1. */
  worker?: number;
  /** The folder of the sockets, as its supervisor has it. */
  sockets?: string | undefined;
}

/**
 * The typed view of a loaded configuration.
 * @throws ConfigurationError with all values that only show wrong here
 */
export function toSettings(
  { configuration, path, fileSecret }: LoadedConfiguration,
  { worker = 1, sockets: told }: ProcessInstance = {},
): Settings {
  const { log, loglevel, storage, portcullis, catalog, tags } = configuration;
  return fromParts((part) => {
    const http = part(() => httpSettings(configuration.http));
    const redis = part(() => redisSettings(configuration.redis));
    const workers = part(() =>
      workerCounts(
        { gateway: portcullis.gateway.workers, core: portcullis.core.workers },
        { listen: http?.listen ?? { port: 1 }, hasRedis: configuration.redis !== undefined },
      ),
    );
    const cores = workers?.core ?? 1;
    const root = storageRoot(storage.filesystem);
    const sockets = socketPaths({
      told,
      configured: portcullis.sockets,
      identity: [path === undefined ? '' : resolve(path), configuration.http.addr, root],
      cores,
      worker,
    });
    return {
      configPath: path,
      log: logSettings(log, loglevel),
      http,
      gateway: part(() => gatewaySettings(portcullis.gateway)),
      core: { limits: portcullis.core.limits },
      auth: part(() => authSettings(configuration.auth, portcullis)),
      externalIssuer: part(() => externalIssuerSettings(configuration.auth?.token)),
      ...storageSettings(storage),
      garbage: garbageCollectionSettings(portcullis.gc),
      references: part(() => referenceSettings(configuration.validation)),
      health: part(() => healthSettings(configuration.health)),
      debug: part(() =>
        debugSettings(configuration.http.debug, {
          auth: portcullis.auth.debug,
          core: portcullis.core.debug,
        }),
      ),
      pageSize: pageSizes(catalog, tags, portcullis.pagesize),
      redis,
      workers,
      drainDelay: portcullis.draindelay,
      sockets,
      internal: part(() =>
        internalSettings(portcullis, {
          secret: configuration.http.secret ?? fileSecret,
          sockets,
          cores,
          worker,
        }),
      ),
      audit: auditSettings(portcullis.audit),
      user: userSetting(portcullis.user),
    };
  });
}
