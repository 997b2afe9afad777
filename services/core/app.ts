import type Koa from 'koa';
import type { Verifier } from '#libs/auth/verify.ts';
import { createApp } from '#libs/http/app.ts';
import type { Readiness } from '#libs/http/readiness.ts';
import type { SelfReport } from '#libs/http/self-report.ts';
import type { Logger } from '#libs/log/logger.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { authorize } from './api/authorize.ts';
import type { CoreState } from './api/handler.ts';
import { createHandlers, type HandlerOptions } from './api/handlers.ts';
import type { Health } from './health/health.ts';
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
  /** Whether request id and client address can be believed. */
  privateHop: boolean;
}

/** The V2 API over a registry. */
export function createCoreApp(options: CoreOptions): Koa<CoreState> {
  const { log, readiness, report, verifier, health, privateHop, registry, readOnly } = options;
  const app = createApp({
    log,
    readiness,
    report,
    privateHop,
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

/** Storage that fails is no fault of the client: it is told to come back. */
function translate(error: unknown): unknown {
  if (!(error instanceof StorageError) || error.code === 'not-found') return error;
  const reasons: Partial<Record<StorageError['code'], string>> = {
    'no-space': 'the storage is full; nothing that was acknowledged is lost',
    'read-only': 'the storage does not accept writes',
  };
  return new RegistryError('UNAVAILABLE', {
    message: reasons[error.code] ?? 'the storage failed; try again',
    retryAfter: 10,
    cause: error,
  });
}
