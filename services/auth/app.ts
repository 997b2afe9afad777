import { createRequire } from 'node:module';
import type Koa from 'koa';
import { internalPaths } from '#libs/api/internal-paths.ts';
import { createApp, type RequestState } from '#libs/http/app.ts';
import type { PeerCheck } from '#libs/http/peer-check.ts';
import type { ProcessStatus } from '#libs/http/process-status.ts';
import type { Readiness } from '#libs/http/readiness.ts';
import type { Logger } from '#libs/log/logger.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { getJwks, getKeySet, postFilter } from './api/internal.ts';
import { measureTokens } from './api/measure-tokens.ts';
import { getToken, postToken, type TokenOptions } from './api/token.ts';
import type { KeyRing } from './keys/key-ring.ts';
import type { RobotStore } from './robots/robot-store.ts';

export interface AuthAppOptions extends TokenOptions {
  log: Logger;
  readiness: Readiness;
  processStatus?: ProcessStatus;
  keys: KeyRing;
  checkPeer: PeerCheck;
  robots: Pick<RobotStore, 'find'>;
}

/** Its other build imports all of Node's `http`, which libs/http/node-http.ts avoids. */
const Router = createRequire(import.meta.url)(
  '@koa/router',
) as typeof import('@koa/router').default;

const tokenPaths: ReadonlySet<string> = new Set(['/auth/token', '/v2/_token']);

/** What the others are called in the log and in metrics. */
const otherRoutes: ReadonlyMap<string, string> = new Map([
  ['/auth/jwks', 'jwks'],
  [internalPaths.keySet, 'keySet'],
  [internalPaths.pullFilter, 'filter'],
]);

/** The token service. The gateway forwards the first three paths only; the rest is for our processes. */
export function createAuthApp(options: AuthAppOptions): Koa<RequestState> {
  const { log, readiness, processStatus, keys, policy, revocations, checkPeer } = options;
  const app = createApp({ log, readiness, processStatus, checkPeer, accessLog: 'debug' });
  const router = new Router<RequestState>();
  const tokens = [...tokenPaths];
  if (processStatus?.metrics !== undefined)
    router.use(tokens, measureTokens(processStatus.metrics));
  router.get(tokens, getToken(options));
  router.post(tokens, postToken(options));
  router.get('/auth/jwks', getJwks(keys));
  router.use('/internal', async (ctx, next) => {
    // To strangers these do not exist.
    if (!ctx.state.trusted) throw new RegistryError('NOT_FOUND');
    await next();
  });
  router.get(internalPaths.keySet, getKeySet(keys, revocations, policy));
  router.post(
    internalPaths.pullFilter,
    postFilter(policy, options.issue.services[0].name, options.robots),
  );
  app.use(async (ctx, next) => {
    const route = tokenPaths.has(ctx.path) ? 'token' : otherRoutes.get(ctx.path);
    if (route !== undefined) ctx.state.access.route = route;
    await next();
  });
  app.use(router.routes());
  app.use(async (ctx) => {
    const allow = router.match(ctx.path, ctx.method).path.flatMap(({ methods }) => methods);
    if (allow.length === 0) throw new RegistryError('NOT_FOUND');
    throw new RegistryError('UNSUPPORTED', {
      message: `${ctx.method} is not supported here; use ${allow.join(', ')}`,
      detail: { allow },
    });
  });
  return app;
}
