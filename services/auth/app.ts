import Router from '@koa/router';
import type Koa from 'koa';
import type { SigningKey } from '#libs/auth/signing-keys.ts';
import type { HopGuard } from '#libs/hop/guard.ts';
import { createApp, type RequestState } from '#libs/http/app.ts';
import type { Readiness } from '#libs/http/readiness.ts';
import type { Logger } from '#libs/log/logger.ts';
import { RegistryError } from '#libs/oci/errors.ts';
import { getJwks, getTrust, postFilter } from './api/internal.ts';
import { getToken, postToken, type TokenOptions } from './api/token.ts';

export interface AuthAppOptions extends TokenOptions {
  log: Logger;
  readiness: Readiness;
  keys: readonly SigningKey[];
  guard: HopGuard;
}

/** The token service. The gateway forwards the first three paths only; the rest is for our processes. */
export function createAuthApp(options: AuthAppOptions): Koa<RequestState> {
  const { log, readiness, keys, policy, revocations, guard } = options;
  const app = createApp({ log, readiness, guard, accessLog: 'debug' });
  const router = new Router<RequestState>();
  router.get(['/auth/token', '/v2/_token'], getToken(options));
  router.post(['/auth/token', '/v2/_token'], postToken(options));
  router.get('/auth/jwks', getJwks(keys));
  router.use('/internal', async (ctx, next) => {
    // To strangers these do not exist.
    if (!ctx.state.trusted) throw new RegistryError('NOT_FOUND');
    await next();
  });
  router.get('/internal/trust', getTrust(keys, revocations, policy));
  router.post('/internal/filter', postFilter(policy));
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
