import type Koa from 'koa';
import type { AuditLog } from '#libs/audit/audit-log.ts';
import type { Verifier } from '#libs/auth/verify.ts';
import type { HopGuard } from '#libs/hop/guard.ts';
import { createApp } from '#libs/http/app.ts';
import type { Readiness } from '#libs/http/readiness.ts';
import type { SelfReport } from '#libs/http/self-report.ts';
import type { Logger } from '#libs/log/logger.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { RedisAwayError } from '#libs/redis/redis-away.ts';
import { authorize } from './api/authorize.ts';
import type { CoreState } from './api/handler.ts';
import { createHandlers, type HandlerOptions } from './api/handlers.ts';
import type { Health } from './health/health.ts';
import { LockBusyError, LockLostError } from './sessions/locks.ts';
import { StorageError } from './storage/driver.ts';

export interface CoreOptions extends HandlerOptions {
  log: Logger;
  readiness: Readiness;
  report?: SelfReport;
  /** Undefined: an open registry. */
  verifier: Verifier | undefined;
  health: Health;
  /** Whether everything that would write is refused. */
  readOnly: boolean;
  guard: HopGuard;
  /** Where pushes, moved tags, deletes and mounts are written. */
  audit?: AuditLog;
}

/** The V2 API over a registry. */
export function createCoreApp(options: CoreOptions): Koa<CoreState> {
  const { log, readiness, report, verifier, health, guard, registry, readOnly } = options;
  const app = createApp({
    log,
    readiness,
    report,
    guard,
    accessLog: 'debug',
    translate,
  }) as Koa<CoreState>;
  const handlers = createHandlers(options);

  app.use(async (ctx, next) => {
    ctx.set('Docker-Distribution-API-Version', 'registry/2.0');
    health.assertHealthy();
    await next();
  });
  app.use(authorize(verifier, registry));
  app.use(async (ctx, next) => {
    ctx.state.audit = (event, details) => {
      const { caller, requestId } = ctx.state;
      const { subject, client } = caller;
      options.audit?.write(event, { subject, client, requestId, ...details });
    };
    await next();
  });
  app.use(async (ctx) => {
    const { route, params } = ctx.state.match;
    if (readOnly && route.method !== 'GET') {
      throw new RegistryError('UNSUPPORTED', {
        message: 'this registry is in read-only mode (storage.maintenance.readonly)',
      });
    }
    await handlers[route.id](ctx, params);
    // Koa would write the status' name into a body that has nothing to say.
    if (ctx.body === undefined && (ctx.status === 201 || ctx.status === 202)) {
      ctx.body = '';
      ctx.remove('Content-Type');
    }
  });
  return app;
}

/** What fails behind us is no fault of the client: it is told to come back. */
function translate(error: unknown): unknown {
  const excuse = excuseFor(error);
  if (excuse === undefined) return error;
  return new RegistryError('UNAVAILABLE', { ...excuse, cause: error });
}

function excuseFor(error: unknown): { message: string; retryAfter: number } | undefined {
  if (error instanceof RedisAwayError) {
    const message = 'the registry cannot coordinate writes for the moment; try again';
    return { message, retryAfter: 5 };
  }
  if (error instanceof LockBusyError || error instanceof LockLostError) {
    return { message: `the repository is busy: ${error.message}; try again`, retryAfter: 2 };
  }
  if (!(error instanceof StorageError) || error.code === 'not-found') return undefined;
  const reasons: Partial<Record<StorageError['code'], string>> = {
    'no-space': 'the storage is full; nothing that was acknowledged is lost',
    'read-only': 'the storage does not accept writes',
  };
  const message = reasons[error.code] ?? 'the storage failed; try again';
  return { message, retryAfter: 10 };
}
