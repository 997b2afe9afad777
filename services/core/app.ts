import type Koa from 'koa';
import type { RouteId } from '#libs/api/routes.ts';
import type { AuditLog } from '#libs/audit/audit-log.ts';
import type { RefusalRecord } from '#libs/audit/refusal-record.ts';
import type { Verifier } from '#libs/auth/verify.ts';
import type { KnownFolder } from '#libs/files/known-folder.ts';
import { createApp } from '#libs/http/app.ts';
import type { PeerCheck } from '#libs/http/peer-check.ts';
import type { ProcessStatus } from '#libs/http/process-status.ts';
import type { Readiness } from '#libs/http/readiness.ts';
import type { Logger } from '#libs/log/logger.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { RedisAwayError } from '#libs/redis/redis-away.ts';
import { authorize } from './api/authorize.ts';
import type { CoreState } from './api/handler.ts';
import { createHandlers, type HandlerOptions } from './api/handlers.ts';
import { requesterOf } from './api/requester.ts';
import type { Health } from './health/health.ts';
import type { Ownership } from './ownership/keep-ownership.ts';
import { NotOwnerError } from './ownership/not-owner.ts';
import { AnswersLateError } from './sessions/ask-freshly.ts';
import { LockBusyError, LockLostError, RequestGoneError } from './sessions/locks.ts';
import { StorageError } from './storage/driver.ts';

export interface CoreOptions extends HandlerOptions {
  log: Logger;
  readiness: Readiness;
  processStatus?: ProcessStatus;
  /** Undefined: an open registry. */
  verifier: Verifier | undefined;
  health: Health;
  /** Asked before anything is written; undefined where nobody else can. */
  ownership?: Pick<Ownership, 'assertOwned'> | undefined;
  /** The folder of the tree, without which nothing is known of what is there; undefined where there is none. */
  treeFolder?: KnownFolder | undefined;
  /** Whether everything that would write is refused. */
  readOnly: boolean;
  checkPeer: PeerCheck;
  /** Where pushes, moved tags, deletes and mounts are written. */
  audit?: AuditLog;
  /** Told of tokens that are refused. */
  refusals?: RefusalRecord;
}

/** The V2 API over a registry. */
export function createCoreApp(options: CoreOptions): Koa<CoreState> {
  const { log, readiness, processStatus, verifier, health, checkPeer, registry, readOnly } =
    options;
  const app = createApp({
    log,
    readiness,
    processStatus,
    checkPeer,
    accessLog: 'debug',
    translate,
  }) as Koa<CoreState>;
  const handlers = createHandlers(options);

  app.use(async (ctx, next) => {
    ctx.state.requester = requesterOf(ctx);
    ctx.set('Docker-Distribution-API-Version', 'registry/2.0');
    health.assertHealthy();
    try {
      await next();
    } catch (error) {
      if (saysUnknown(error)) await assertThere(options.treeFolder, error);
      throw error;
    }
  });
  app.use(authorize(verifier, registry, options.refusals));
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
    // Before a body is read in vain; what is written later asks again. An upload's status is its holder's to tell.
    if (route.method !== 'GET' || route.id === 'uploadStatus') {
      await options.ownership?.assertOwned();
    }
    await handlers[route.id](ctx, params);
    if (lists.has(route.id)) await assertThere(options.treeFolder);
    // Koa would write the status' name into a body that has nothing to say.
    if (ctx.body === undefined && (ctx.status === 201 || ctx.status === 202)) {
      ctx.body = '';
      ctx.remove('Content-Type');
    }
  });
  return app;
}

/** Routes whose answer may be empty where the storage is away. */
const lists: ReadonlySet<RouteId> = new Set(['catalog', 'listTags', 'listReferrers']);

/** Whether it says that something is not there, which nobody knows while the storage is away. */
function saysUnknown(error: unknown): boolean {
  return error instanceof StorageError || (error instanceof RegistryError && error.status === 404);
}

/**
 * The storage's health is looked at once a second, and what is answered meanwhile must be true as well.
 * @throws RegistryError UNAVAILABLE if the storage is away
 */
async function assertThere(folder: KnownFolder | undefined, cause?: unknown): Promise<void> {
  if ((await folder?.isGone().catch(() => false)) !== true) return;
  const message = 'the storage is not there';
  throw new RegistryError('UNAVAILABLE', { message, retryAfter: 10, cause });
}

/** What fails behind us is no fault of the client: it is told to come back. */
function translate(error: unknown): unknown {
  // Given up by this process, which says why, as when it stops.
  if (error instanceof RequestGoneError && error.cause instanceof RegistryError) return error.cause;
  const answer = describeUnavailable(error);
  if (answer === undefined) return error;
  // That Redis is away, or the storage another core's, was said when it began.
  const isLogged = error instanceof RedisAwayError || error instanceof NotOwnerError;
  return new RegistryError('UNAVAILABLE', { ...answer, cause: error, isLogged });
}

function describeUnavailable(error: unknown): { message: string; retryAfter: number } | undefined {
  if (error instanceof RedisAwayError) {
    const message = 'the registry cannot coordinate writes for the moment; try again';
    return { message, retryAfter: 5 };
  }
  if (error instanceof NotOwnerError) {
    const message =
      'the registry takes no writes until it is certain that no other one writes to its storage; try again';
    return { message, retryAfter: 5 };
  }
  if (error instanceof AnswersLateError) {
    const message = 'the registry cannot coordinate writes for the moment; try again';
    return { message, retryAfter: 5 };
  }
  if (error instanceof LockBusyError || error instanceof LockLostError) {
    return { message: `the repository is busy: ${error.message}; try again`, retryAfter: 2 };
  }
  if (error instanceof RequestGoneError) return { message: error.message, retryAfter: 1 };
  if (!(error instanceof StorageError) || error.code === 'not-found') return undefined;
  const reasons: Partial<Record<StorageError['code'], string>> = {
    'no-space': 'the storage is full; nothing that was acknowledged is lost',
    'read-only': 'the storage does not accept writes',
  };
  const message = reasons[error.code] ?? 'the storage failed; try again';
  return { message, retryAfter: 10 };
}
